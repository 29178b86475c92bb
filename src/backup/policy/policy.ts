// What is backed up when, how long it is kept, and when somebody has to be told: one document, from which schedules,
// retention, alert rules, crontabs and docs/reference/backup-policy.md come.

import { type Static, Type } from '@sinclair/typebox'

const closed = { additionalProperties: false }
const count = (description: string, minimum: number) => Type.Integer({ minimum, maximum: 10_000, description })
const name = (description: string) => Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$', description })
const cron = Type.String({
  minLength: 1,
  description: 'Five fields: minute, hour, day of the month, month, day of the week (0 is Sunday).',
})
const common = { name: name('Unique.'), cron }

const CreateSchedule = Type.Object(
  {
    ...common,
    task: Type.Literal('create'),
    type: name('As `annals backup types` lists them.'),
    incremental: Type.Optional(
      Type.Boolean({ description: 'Add to the newest backup of the type in the same place; a whole one without it.' }),
    ),
    kind: Type.Optional(
      Type.Union([Type.Literal('full'), Type.Literal('diff'), Type.Literal('incr')], {
        description: 'Of type `pgbackrest`; `full` without it.',
      }),
    ),
    to: Type.Optional(
      Type.Union([Type.Literal('local'), Type.Literal('offsite')], {
        description: '`local`: `BACKUP_DIR`, the default. `offsite`: `BACKUP_OFFSITE`; left out while that is not set.',
      }),
    ),
    verify: Type.Optional(
      Type.Union([Type.Literal(0), Type.Literal(1)], { description: 'Level at which it is verified afterwards.' }),
    ),
  },
  closed,
)

const PruneSchedule = Type.Object({ ...common, task: Type.Literal('prune') }, closed)

const Retention = Type.Object(
  {
    days: count('Everything younger is kept.', 0),
    keep_min: count('As many of the newest are kept, however old they are.', 1),
    daily: count('The newest of each of so many days is kept.', 0),
    weekly: count('The newest of each of so many weeks, which begin on Monday.', 0),
    monthly: count('The newest of each of so many months.', 0),
  },
  closed,
)

const Alerts = Type.Object(
  {
    warn_after_hours: count('A warning when no backup succeeded for so long.', 1),
    critical_after_hours: count('Critical when no backup succeeded for so long, and that lasts for an hour.', 1),
    drill_within_days: count('A warning when no drill succeeded for so long.', 1),
  },
  closed,
)

const seconds = (description: string) => Type.Integer({ minimum: 1, maximum: 31_536_000, description })

const Objectives = Type.Object(
  {
    rpo_seconds: seconds('As much of the newest data may be lost.'),
    rto_seconds: Type.Record(Type.String(), seconds('Recovery may take so long.'), {
      description: 'By scenario of `annals dr drill`; `default` is for those that are not named.',
    }),
  },
  closed,
)

export const BackupPolicy = Type.Object(
  {
    timezone: Type.String({ description: 'IANA name; that of the schedules, and of days, weeks and months.' }),
    schedules: Type.Array(Type.Union([CreateSchedule, PruneSchedule]), { maxItems: 100 }),
    retention: Retention,
    alerts: Alerts,
    objectives: Objectives,
    offsite_expire_days: count('For the lifecycle rule of a bucket.', 1),
  },
  closed,
)

export type BackupPolicy = Static<typeof BackupPolicy>
/** One line of the policy's schedules. */
export type Schedule = BackupPolicy['schedules'][0]
export type RetentionRules = BackupPolicy['retention']

const HOUR = 3_600

/** What holds for every member that a policy file does not have. */
export const DEFAULT_POLICY: Readonly<BackupPolicy> = {
  timezone: 'UTC',
  schedules: [
    { name: 'daily', cron: '0 2 * * *', task: 'create', type: 'archive', incremental: true, verify: 1 },
    { name: 'weekly-full', cron: '0 3 * * 0', task: 'create', type: 'archive', verify: 1 },
    { name: 'weekly-offsite', cron: '0 4 * * 0', task: 'create', type: 'archive', to: 'offsite', verify: 1 },
    { name: 'prune', cron: '0 5 * * *', task: 'prune' },
  ],
  retention: { days: 30, keep_min: 3, daily: 7, weekly: 4, monthly: 6 },
  alerts: { warn_after_hours: 24, critical_after_hours: 48, drill_within_days: 30 },
  objectives: {
    rpo_seconds: 24 * HOUR,
    rto_seconds: {
      default: 4 * HOUR,
      'kill-service': 30,
      failover: 300,
      'corrupted-page': HOUR / 2,
      'lost-database': 2 * HOUR,
    },
  },
  offsite_expire_days: 90,
}
