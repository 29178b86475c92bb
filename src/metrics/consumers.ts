import { Gauge } from 'prom-client'
import type { ConsumerStanding } from '../db/consumer-store.ts'
import type { MetricsRegistry } from './registry.ts'

/** What is shown of a consumer; there are 100 at most. */
type Shown = Pick<ConsumerStanding, 'name' | 'checkpoint' | 'head' | 'lagSeconds' | 'parked'>

/** `annals_consumer_…{consumer}`, as of the last time that `known` was refreshed; it must not wait for the database. */
export function consumerMetrics(registry: MetricsRegistry, known: () => Shown[]): void {
  const gauge = (name: string, help: string, valueOf: (consumer: Shown) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['consumer'],
      registers: [registry],
      collect() {
        this.reset()
        for (const consumer of known()) this.set({ consumer: consumer.name }, valueOf(consumer))
      },
    })
  gauge('annals_consumer_lag_events', 'Positions between the checkpoint and the head.', (consumer) =>
    Math.max(consumer.head - consumer.checkpoint, 0),
  )
  gauge(
    'annals_consumer_oldest_unacked_seconds',
    'Age of the first event after the checkpoint; 0 without one.',
    ({ lagSeconds }) => lagSeconds,
  )
  gauge('annals_consumer_parked', 'Events that were set aside.', ({ parked }) => parked)
}
