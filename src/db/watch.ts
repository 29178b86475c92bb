// Figures for the metrics, found out in the background again and again: a scrape must not wait for the database.

import { setTimeout as sleep } from 'node:timers/promises'

export class Watch<T> {
  readonly #intervalMs: number
  readonly #find: (signal: AbortSignal) => Promise<T>
  readonly #stopped = new AbortController()
  #known: T | undefined

  /** `intervalMs` is from the end of one round to the begin of the next; a `find` that rejects leaves what is known. */
  constructor(intervalMs: number, find: (signal: AbortSignal) => Promise<T>) {
    this.#intervalMs = intervalMs
    this.#find = find
  }

  /** What was found out last; undefined before the first round is over. */
  get known(): T | undefined {
    return this.#known
  }

  start(): void {
    void this.#run()
  }

  stop(): void {
    this.#stopped.abort()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      await this.#find(signal).then(
        (found) => {
          this.#known = found
        },
        () => {},
      )
      await sleep(this.#intervalMs, undefined, { signal, ref: false }).catch(() => {})
    }
  }
}
