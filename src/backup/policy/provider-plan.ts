// What a provider of PostgreSQL has to be told, so that its own backups are those of the policy.

import { nextDue } from '../schedules/due.ts'
import type { BackupPolicy } from './policy.ts'

/** The commands; `instance`, of letters, digits and hyphens, is the provider's name of the database; `now` says whether it is summer. */
type ProviderPlan = (policy: BackupPolicy, instance: string, now: Date) => string

const HOUR_MS = 3_600_000
/** RDS keeps no automated backup for longer, and takes 0 for "make none". */
const [RDS_MIN_DAYS, RDS_MAX_DAYS] = [1, 35]

const rds: ProviderPlan = (policy, instance, now) => {
  const { days } = policy.retention
  const kept = Math.min(Math.max(days, RDS_MIN_DAYS), RDS_MAX_DAYS)
  const limit =
    kept === days ? '' : `\n# The policy says ${days} days; RDS keeps its own for ${RDS_MIN_DAYS} to ${RDS_MAX_DAYS}.`
  const window = windowOf(policy, now)
  const options = [
    ...[`--db-instance-identifier ${instance}`, `--backup-retention-period ${kept}`],
    ...(window === undefined ? [] : [`--preferred-backup-window ${window}`]),
    ...['--copy-tags-to-snapshot', '--deletion-protection', '--apply-immediately'],
  ]
  return `# A snapshot a day and the log since then, kept for ${kept} days. The window is in UTC.${limit}
aws rds modify-db-instance ${lines(options)}

# Whether it is so, and up to when it could be recovered now:
aws rds describe-db-instances --db-instance-identifier ${instance} --output table \\
  --query 'DBInstances[0].[BackupRetentionPeriod,PreferredBackupWindow,LatestRestorableTime]'

# So that annals backup list, the metrics and annals dr assess know of them; every hour, for instance:
aws rds describe-db-instance-automated-backups --db-instance-identifier ${instance} --output text \\
  --query 'DBInstanceAutomatedBackups[0].RestoreWindow.[EarliestTime,LatestTime]' |
  { read -r from to && annals backup attest pitr rds:${instance} --from "$from" --to "$to"; }

# Back to a moment, in an instance beside the one in use. Afterwards readers have to be told.
aws rds restore-db-instance-to-point-in-time ${lines([
    ...[`--source-db-instance-identifier ${instance}`, `--target-db-instance-identifier ${instance}-recovered`],
    '--restore-time 2026-01-15T09:30:00Z',
  ])}
annals restore new-epoch --database-url postgres://USER@HOST/DATABASE

# RDS's backups go with the account that they are in. Have archives elsewhere, and prove that they come back:
annals backup create --dir s3://BUCKET/PREFIX
annals backup test BACKUP --dir s3://BUCKET/PREFIX
`
}

const lines = (options: string[]): string => options.map((option) => `\\\n  ${option}`).join(' ')

/** An hour from when the first backup of the schedules comes due, in UTC; undefined when none is scheduled. */
function windowOf({ schedules, timezone }: BackupPolicy, now: Date): string | undefined {
  const first = schedules.find(({ task }) => task === 'create')
  const due = first && nextDue({ cron: first.cron, timezone }, now)
  if (due === undefined) return undefined
  const clock = (at: Date) => at.toISOString().slice(11, 16)
  return `${clock(due)}-${clock(new Date(due.getTime() + HOUR_MS))}`
}

/** By the word for `annals backup plan --provider`. */
export const PROVIDERS = { rds } as const satisfies Record<string, ProviderPlan>
export type Provider = keyof typeof PROVIDERS
