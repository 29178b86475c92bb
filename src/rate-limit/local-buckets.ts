import { RecentMap } from '../recent-map.ts'
import { type Buckets, type Rate, takeToken, type Verdict } from './buckets.ts'

// About 20 MB when full. With more clients at a time than half of it the least recent ones find a full bucket again.
const MAX_CLIENTS = 100_000

/** Buckets of this process. Those that have filled up again are forgotten. */
export class LocalBuckets implements Buckets {
  readonly #rate: Rate
  readonly #fullAt: RecentMap<number>

  constructor(rate: Rate, maxClients = MAX_CLIENTS) {
    this.#rate = rate
    this.#fullAt = new RecentMap(maxClients, (rate.burst / rate.perSecond) * 1000)
  }

  /** Number of clients that are remembered. */
  get size(): number {
    return this.#fullAt.size
  }

  take(key: string, nowMs = performance.now()): Verdict {
    const verdict = takeToken(this.#rate, this.#fullAt.get(key), nowMs)
    if (verdict.isAllowed) this.#fullAt.set(key, verdict.fullAtMs)
    return verdict
  }
}
