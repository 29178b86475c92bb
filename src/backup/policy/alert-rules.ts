// Rules for Prometheus, from the policy: deploy/prometheus/backup.rules.yml, and `annals schedules generate prometheus`.

import { stringify } from 'yaml'
import { WITHOUT_EVENTS } from '../../db/backup/backup-figures.ts'
import type { BackupPolicy } from './policy.ts'

const HOUR = 3_600
const DAY = 24 * HOUR

interface Rule {
  alert: string
  expr: string
  for: string
  labels: { severity: 'warning' | 'critical' }
  annotations: { summary: string; description: string }
}

/** The file as text, without a comment on top. */
export const alertRules = (policy: BackupPolicy): string =>
  stringify({ groups: [{ name: 'annals-backup', rules: rulesOf(policy) }] }, { lineWidth: 0 })

function rulesOf({ schedules, alerts, objectives }: BackupPolicy): Rule[] {
  const { warn_after_hours: warn, critical_after_hours: critical, drill_within_days: drill } = alerts
  const types = [...new Set(schedules.flatMap((each) => (each.task === 'create' ? [each.type] : [])))]
  // Types that nobody scheduled may be as old as they like.
  const scheduled = types.length === 0 ? '' : `{type=~"${types.join('|')}"}`
  // What holds no events is no reason to be quiet about the others.
  const restoring = types.filter((type) => !WITHOUT_EVENTS.includes(type))
  const ofStore = restoring.length === 0 ? `!~"${WITHOUT_EVENTS.join('|')}"` : `=~"${restoring.join('|')}"`
  const ofEvents = `backup_last_success_timestamp_seconds{type${ofStore}}`
  const success = `backup_last_success_timestamp_seconds${scheduled}`
  const failure = `backup_last_failure_timestamp_seconds${scheduled}`
  const rule = (
    ...[alert, severity, expr, lasting, summary, description]: [
      ...[alert: string, severity: 'warning' | 'critical', expr: string, lasting: string],
      ...[summary: string, description: string],
    ]
  ): Rule => ({ alert, expr, for: lasting, labels: { severity }, annotations: { summary, description } })
  return [
    rule(
      ...(['AnnalsBackupOld', 'warning', `time() - max(${ofEvents}) > ${warn * HOUR}`, '30m'] as const),
      `No backup succeeded for ${warn} hours.`,
      'See GET /schedules for the last outcome, and run annals backup create.',
    ),
    rule(
      ...(['AnnalsBackupVeryOld', 'critical', `time() - max(${ofEvents}) > ${critical * HOUR}`, '1h'] as const),
      `No backup succeeded for ${critical} hours.`,
      'What was stored since would be lost. Run annals backup create now, and look why the schedule does not.',
    ),
    rule(
      ...(['AnnalsBackupFailed', 'warning'] as const),
      `max by (type) (${failure}) > on (type) max by (type) (${success}) or (max by (type) (${failure}) unless on (type) max by (type) (${success}))`,
      '5m',
      'The last backup of type {{ $labels.type }} failed.',
      'annals backup list shows it, and annals_jobs why.',
    ),
    rule(
      ...(['AnnalsBackupUnknown', 'critical', `absent(${ofEvents})`, '1h'] as const),
      'It is not known when the last backup was made.',
      'There was none yet, or no service that knows is scraped.',
    ),
    rule(
      ...(['AnnalsWalNotArchived', 'critical'] as const),
      'max(backup_wal_last_failure_timestamp_seconds) > max(backup_wal_last_archived_timestamp_seconds) or (max(backup_wal_last_failure_timestamp_seconds) unless max(backup_wal_last_archived_timestamp_seconds))',
      '15m',
      'PostgreSQL can not archive its log.',
      'What is stored from now on can not be recovered to, and the log fills the disk of the server, which goes on with it as soon as it can. See its log, and pg_stat_archiver.',
    ),
    rule(
      ...(['AnnalsDrillOld', 'warning'] as const),
      `time() - max(dr_drill_last_success_timestamp_seconds) > ${drill * DAY} or absent(dr_drill_last_success_timestamp_seconds)`,
      '1h',
      `No drill succeeded for ${drill} days.`,
      'Run annals dr drill lost-database.',
    ),
    rule(
      ...(['AnnalsRecoveryPointMissed', 'warning'] as const),
      // As many hours more as the alert about old backups waits, or the two would always come together.
      `max(dr_rpo_seconds_current) > ${objectives.rpo_seconds + HOUR}`,
      '30m',
      `A loss of the database now would cost more than the ${objectives.rpo_seconds} s of the objective.`,
      'Back up more often, or archive WAL.',
    ),
    rule(
      ...(['AnnalsRecoveryTimeMissed', 'warning', tooSlow(objectives.rto_seconds), '5m'] as const),
      'The last drill {{ $labels.scenario }} took longer than its objective.',
      'Its report in DRILL_DIR has the time of each step.',
    ),
  ]
}

/** Scenarios without an objective of their own have that of `default`. */
function tooSlow(objectives: Readonly<Record<string, number>>): string {
  const named = Object.keys(objectives).filter((name) => name !== 'default')
  return Object.entries(objectives)
    .map(([scenario, seconds]) => {
      const which = scenario === 'default' ? `scenario!~"${named.join('|')}"` : `scenario="${scenario}"`
      return `max by (scenario) (dr_drill_rto_seconds{${which}}) > ${seconds}`
    })
    .join(' or ')
}
