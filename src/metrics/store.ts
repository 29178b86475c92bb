import { Counter, Gauge } from 'prom-client'
import type { EventLogObserver } from '../db/postgres-event-log.ts'
import { gauge } from './gauge.ts'
import { Histogram, SECONDS } from './histogram.ts'
import type { MetricsRegistry } from './registry.ts'

/** What the store is asked about; called when it is scraped, so it must not wait for the database. */
export interface StoreGauges {
  /** Last known position; undefined before the first answer of the database. */
  head(): number | undefined
  queuedEvents(): number
}

const BATCH_SIZES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]

/** `annals_…`: what is appended, refused, retried and waiting. */
export function storeMetrics(registry: MetricsRegistry, gauges: StoreGauges): EventLogObserver {
  const counter = (name: string, help: string) => new Counter({ name, help, registers: [registry] })
  const appended = counter('annals_events_appended_total', 'Events stored by this process.')
  const conflicts = counter('annals_append_conflicts_total', 'Appends refused because of an expected version.')
  const replays = counter('annals_append_replays_total', 'Appends recognised as the retry of an earlier one.')
  const refused = counter(
    'annals_append_overloads_total',
    'Appends refused because too many events waited for the database.',
  )
  const settled = new Counter({
    name: 'annals_append_settlements_total',
    help: 'Batches whose commit got no answer, by whether their outcome became known.',
    labelNames: ['outcome'],
    registers: [registry],
  })
  for (const outcome of ['known', 'unknown']) settled.inc({ outcome }, 0)
  const histogram = (name: string, help: string, buckets: readonly number[]) =>
    new Histogram({ name, help, buckets, registry }).series()
  const batchSize = histogram('annals_append_batch_size', 'Events of one transaction of the append gate.', BATCH_SIZES)
  const batchSeconds = histogram('annals_append_batch_seconds', 'Time of one transaction of the append gate.', SECONDS)
  new Gauge({
    name: 'annals_head_position',
    help: 'Last position of the store, as of the last health check.',
    registers: [registry],
    collect() {
      // Where it is not known at the moment, the last one that was known stays.
      const head = gauges.head()
      if (head !== undefined) this.set(head)
    },
  })
  gauge(registry, 'annals_append_queue_events', 'Events that wait for the append gate.', gauges.queuedEvents)
  return {
    appended: (events) => appended.inc(events),
    conflicted: () => conflicts.inc(),
    replayed: () => replays.inc(),
    overloaded: () => refused.inc(),
    settled: (isKnown) => settled.inc({ outcome: isKnown ? 'known' : 'unknown' }),
    batchCommitted: (events, seconds) => {
      batchSize.observe(events)
      batchSeconds.observe(seconds)
    },
  }
}
