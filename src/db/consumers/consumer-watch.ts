// Where the consumers stand, for the metrics.

import { Watch } from '../watch.ts'
import type { ConsumerStanding, ConsumerStore } from './consumer-store.ts'

const INTERVAL_MS = 10_000

export class ConsumerWatch extends Watch<ConsumerStanding[]> {
  constructor(consumers: Pick<ConsumerStore, 'list'>) {
    // Nothing is shown rather than something old: an alert on lag must not be kept quiet by yesterday's number.
    super(INTERVAL_MS, () => consumers.list().catch(() => []))
  }
}
