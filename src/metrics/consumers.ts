import type { ConsumerStanding } from '../db/consumers/consumer-store.ts'
import { labelledGauge } from './gauge.ts'
import type { MetricsRegistry } from './registry.ts'

/** What is shown of a consumer; there are 100 at most. */
type Shown = Pick<ConsumerStanding, 'name' | 'checkpoint' | 'head' | 'lagSeconds' | 'parked'>

/** `annals_consumer_…{consumer}`, as of the last time that `known` was found out. */
export function consumerMetrics(registry: MetricsRegistry, known: () => Shown[]): void {
  const ofEach = (name: string, help: string, valueOf: (consumer: Shown) => number) =>
    labelledGauge(registry, name, help, 'consumer', () =>
      known().map((consumer) => [consumer.name, valueOf(consumer)] as const),
    )
  ofEach('annals_consumer_lag_events', 'Positions between the checkpoint and the head.', (consumer) =>
    Math.max(consumer.head - consumer.checkpoint, 0),
  )
  ofEach(
    'annals_consumer_oldest_unacked_seconds',
    'Age of the first event after the checkpoint; 0 without one.',
    ({ lagSeconds }) => lagSeconds,
  )
  ofEach('annals_consumer_parked', 'Events that were set aside.', ({ parked }) => parked)
}
