// Counts what happens to a pool, and tells its observer.

import { LatencyHistogram, type Quantiles } from './latency-histogram.ts'
import type { PoolObserver } from './pool-options.ts'

const WINDOW_MS = 60_000

export interface PoolCounts {
  /** The count since the start; how long callers waited in the last one to two minutes, null when nobody did. */
  acquire: { count: number } & (Quantiles | Record<keyof Quantiles, null>)
  timeouts: { queue: number; connect: number }
  /** Connections that could not be opened, or died. */
  errors: number
}

/** What was measured in the last one to two minutes, for sizing. */
export interface PoolUsage {
  acquisitions_per_second: number
  /** Mean time a connection was held; null when none was. */
  hold_ms: number | null
}

interface Mark {
  at: number
  acquisitions: number
  useMs: number
}

/** Times are those of `performance.now()`. */
export class PoolMeter {
  readonly #observer: PoolObserver | undefined
  readonly #latency = new LatencyHistogram(performance.now())
  readonly #timeouts = { queue: 0, connect: 0 }
  #useMs = 0
  #errors = 0
  #mark: Mark = { at: performance.now(), acquisitions: 0, useMs: 0 }
  #previousMark = this.#mark

  constructor(observer: PoolObserver | undefined) {
    this.#observer = observer
  }

  acquired(waitMs: number, now: number): void {
    this.#latency.record(waitMs, now)
    this.#observer?.acquired(waitMs / 1000)
  }

  released(useMs: number, now: number): void {
    this.#useMs += useMs
    if (now - this.#mark.at > WINDOW_MS) this.#turn(now)
    this.#observer?.released(useMs / 1000)
  }

  created(ms: number): void {
    this.#observer?.created(ms / 1000)
  }

  timedOut(kind: 'queue' | 'connect'): void {
    this.#timeouts[kind]++
    this.#observer?.timedOut(kind)
  }

  failed(error: Error): void {
    this.#errors++
    this.#observer?.failed(error)
  }

  counts(): PoolCounts {
    const none = { p50_ms: null, p95_ms: null, p99_ms: null, max_ms: null }
    return {
      acquire: { count: this.#latency.count, ...(this.#latency.quantiles(performance.now()) ?? none) },
      timeouts: { ...this.#timeouts },
      errors: this.#errors,
    }
  }

  usage(): PoolUsage {
    const now = performance.now()
    if (now - this.#mark.at > WINDOW_MS) this.#turn(now)
    const { at, acquisitions, useMs } = this.#previousMark
    const count = this.#latency.count - acquisitions
    return {
      acquisitions_per_second: now > at ? (count * 1000) / (now - at) : 0,
      hold_ms: count > 0 ? (this.#useMs - useMs) / count : null,
    }
  }

  #turn(now: number): void {
    this.#previousMark = this.#mark
    this.#mark = { at: now, acquisitions: this.#latency.count, useMs: this.#useMs }
  }
}
