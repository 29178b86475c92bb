import { Gauge } from 'prom-client'
import type { KnownCoverage } from '../db/snapshot-watch.ts'
import type { MetricsRegistry } from './registry.ts'

/** `annals_snapshot_…`, as of the last time that `known` was found out; absent before. It must not wait for the database. */
export function snapshotMetrics(registry: MetricsRegistry, known: () => KnownCoverage | undefined): void {
  const gauge = (name: string, help: string, valueOf: (coverage: KnownCoverage) => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        const coverage = known()
        // Nothing rather than the 0 of a new gauge.
        if (coverage === undefined) this.remove()
        else this.set(valueOf(coverage))
      },
    })
  gauge(
    'annals_snapshot_streams_behind',
    'Streams with more than SNAPSHOT_EVERY events since their snapshot.',
    ({ behind }) => behind,
  )
  gauge(
    'annals_snapshot_max_lag_events',
    'The most events that a stream has since its snapshot.',
    ({ largestLag }) => largestLag,
  )
  gauge('annals_snapshot_streams_checked', 'Streams that were looked at for this.', ({ streams }) => streams)
  gauge(
    'annals_snapshot_coverage_age_seconds',
    'Time since it was begun to look at them.',
    ({ at }) => (performance.now() - at) / 1000,
  )
}
