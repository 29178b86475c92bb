// Callers that wait for a connection, first come, first served.

import type pg from 'pg'

export interface Waiter {
  /** By `performance.now()`. */
  since: number
  resolve(client: pg.PoolClient): void
  reject(error: Error): void
}

/**
 * A queue whose members give up after a time that is the same for all: the oldest is the next to give up, so one timer
 * is enough, and it is not touched while connections are plentiful.
 */
export class WaitQueue {
  readonly #waiters: Waiter[] = []
  readonly #timeoutMs: number
  readonly #onTimeout: () => Error
  #timer: NodeJS.Timeout | undefined

  /** `onTimeout` makes the error that a waiter gets who gives up. */
  constructor(timeoutMs: number, onTimeout: () => Error) {
    this.#timeoutMs = timeoutMs
    this.#onTimeout = onTimeout
  }

  get length(): number {
    return this.#waiters.length
  }

  get oldest(): Waiter | undefined {
    return this.#waiters[0]
  }

  add(waiter: Waiter): void {
    this.#waiters.push(waiter)
    if (this.#timer === undefined) this.#watch(this.#timeoutMs)
  }

  next(): Waiter | undefined {
    return this.#waiters.shift()
  }

  /** Turns everybody away. */
  rejectAll(error: () => Error): void {
    clearTimeout(this.#timer)
    for (const { reject } of this.#waiters.splice(0)) reject(error())
  }

  #watch(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      const now = performance.now()
      // A timer may fire a fraction of a millisecond early.
      while (this.oldest !== undefined && now - this.oldest.since >= this.#timeoutMs - 0.5) {
        this.next()?.reject(this.#onTimeout())
      }
      if (this.oldest !== undefined) this.#watch(this.oldest.since + this.#timeoutMs - now)
    }, ms)
  }
}
