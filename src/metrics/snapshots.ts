import type { KnownCoverage } from '../db/snapshots/snapshot-watch.ts'
import { gauge } from './gauge.ts'
import type { MetricsRegistry } from './registry.ts'

/** `annals_snapshot_…`, as of the last time that `known` was found out; absent before. */
export function snapshotMetrics(registry: MetricsRegistry, known: () => KnownCoverage | undefined): void {
  const ofStore = (name: string, help: string, valueOf: (coverage: KnownCoverage) => number) =>
    gauge(registry, name, help, () => {
      const coverage = known()
      return coverage && valueOf(coverage)
    })
  ofStore(
    'annals_snapshot_streams_behind',
    'Streams with more than SNAPSHOT_EVERY events since their snapshot.',
    ({ behind }) => behind,
  )
  ofStore(
    'annals_snapshot_max_lag_events',
    'The most events that a stream has since its snapshot.',
    ({ largestLag }) => largestLag,
  )
  ofStore('annals_snapshot_streams_checked', 'Streams that were looked at for this.', ({ streams }) => streams)
  ofStore(
    'annals_snapshot_coverage_age_seconds',
    'Time since it was begun to look at them.',
    ({ at }) => (performance.now() - at) / 1000,
  )
}
