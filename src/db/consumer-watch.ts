// What the metrics show of consumers, asked on a timer: a scrape never waits for the database.

import type { ConsumerStanding, ConsumerStore } from './consumer-store.ts'

const INTERVAL_MS = 10_000

export class ConsumerWatch {
  readonly #consumers: Pick<ConsumerStore, 'list'>
  #known: ConsumerStanding[] = []
  #timer: NodeJS.Timeout | undefined
  #isAsking = false

  constructor(consumers: Pick<ConsumerStore, 'list'>) {
    this.#consumers = consumers
  }

  /** As of the last answer; empty when there was none lately. */
  get known(): ConsumerStanding[] {
    return this.#known
  }

  start(intervalMs = INTERVAL_MS): void {
    this.#timer = setInterval(() => void this.#ask(), intervalMs).unref()
    void this.#ask()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  // Nothing is shown rather than something old: an alert on lag must not be kept quiet by yesterday's number.
  async #ask(): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    this.#known = await this.#consumers.list().catch(() => [])
    this.#isAsking = false
  }
}
