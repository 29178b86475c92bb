import type { KnownFigures } from '../db/backup/backup-watch.ts'
import { gauge, labelledGauge } from './gauge.ts'
import type { MetricsRegistry } from './registry.ts'

/** `backup_…` and `dr_…`, as of the last time that the catalogue was read; absent before. */
export function backupMetrics(registry: MetricsRegistry, known: () => KnownFigures | undefined): void {
  const ofStore = (name: string, help: string, valueOf: (figures: KnownFigures) => number | null) =>
    gauge(registry, name, help, () => {
      const figures = known()
      return figures && valueOf(figures)
    })
  const ofEach =
    <T>(label: string, listOf: (figures: KnownFigures) => readonly T[], textOf: (each: T) => string) =>
    (name: string, help: string, valueOf: (each: T) => number | null) =>
      labelledGauge(registry, name, help, label, () => {
        const figures = known()
        return figures === undefined ? [] : listOf(figures).map((each) => [textOf(each), valueOf(each)] as const)
      })
  const ofType = ofEach(
    'type',
    ({ types }) => types,
    ({ type }) => type,
  )
  const ofDrill = ofEach(
    'scenario',
    ({ drills }) => drills,
    ({ scenario }) => scenario,
  )
  const ofAttested = ofEach(
    'kind',
    ({ attested }) => attested,
    ({ kind }) => kind,
  )

  ofType('backup_last_success_timestamp_seconds', 'When a backup last succeeded.', (type) => type.last_success)
  ofType('backup_last_failure_timestamp_seconds', 'When a backup last failed.', (type) => type.last_failure)
  ofType('backup_size_bytes', 'Of the newest backup that succeeded.', (type) => type.bytes)
  ofType('backup_duration_seconds', 'Of the newest backup that succeeded.', (type) => type.duration)
  ofStore(
    'backup_verify_last_success_timestamp_seconds',
    'When a backup last passed a verification or a test.',
    (figures) => figures.last_verified,
  )
  ofStore(
    'backup_first_recoverability_timestamp_seconds',
    'The oldest moment that can be gone back to.',
    (figures) => figures.first_recoverability,
  )
  ofStore('dr_rpo_seconds_current', 'As much of the newest data would be lost with the database now.', (figures) =>
    figures.recovery_point === null ? null : Math.max(Date.now() / 1000 - figures.recovery_point, 0),
  )
  ofAttested(
    'backup_attested_timestamp_seconds',
    'The newest moment that a backup made elsewhere is said to show; nobody has checked it.',
    ({ shows }) => shows,
  )
  ofAttested('backup_attested_size_bytes', 'What it is said to take.', ({ bytes }) => bytes)
  ofStore(
    'backup_wal_last_archived_timestamp_seconds',
    'When the server last archived a file of its log.',
    ({ wal }) => wal?.last_archived ?? null,
  )
  ofStore(
    'backup_wal_last_failure_timestamp_seconds',
    'When archiving a file of the log last failed.',
    ({ wal }) => wal?.last_failed ?? null,
  )
  ofStore('backup_wal_failures', 'Of archiving, since the statistics of the server were reset.', ({ wal }) =>
    wal === null ? null : wal.failures,
  )
  ofDrill('dr_drill_rto_seconds', 'How long recovery took in the newest drill that succeeded.', ({ rto }) => rto)
  ofDrill('dr_drill_last_success_timestamp_seconds', 'When a drill last succeeded.', (drill) => drill.last_success)
  ofStore(
    'backup_catalogue_age_seconds',
    'Time since the catalogue was read for these.',
    ({ at }) => (performance.now() - at) / 1000,
  )
}
