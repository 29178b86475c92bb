// Durations of the last one to two minutes in 16 steps per doubling (6 % wide), at about 10 ns per entry.

const STEPS = 16
const STEP_BITS = 4
// 2^27 µs is 134 s; longer ones count as that.
const LARGEST_US = 2 ** 27 - 1
const BUCKETS = (27 - STEP_BITS + 1) * STEPS
const WINDOW_MS = 60_000

export interface Quantiles {
  p50_ms: number
  p95_ms: number
  p99_ms: number
  max_ms: number
}

export class LatencyHistogram {
  /** Entries since the start. */
  count = 0
  #current = new Uint32Array(BUCKETS)
  #previous = new Uint32Array(BUCKETS)
  #currentMaxUs = 0
  #previousMaxUs = 0
  #windowStartedAt: number

  constructor(nowMs: number) {
    this.#windowStartedAt = nowMs
  }

  record(ms: number, nowMs: number): void {
    if (nowMs - this.#windowStartedAt >= WINDOW_MS) this.#turn(nowMs)
    const us = Math.min(Math.round(ms * 1000), LARGEST_US)
    this.count++
    this.#current[bucketOf(us)]!++
    if (us > this.#currentMaxUs) this.#currentMaxUs = us
  }

  /** Null when there was no entry in the last one to two minutes. */
  quantiles(nowMs: number): Quantiles | null {
    if (nowMs - this.#windowStartedAt >= WINDOW_MS) this.#turn(nowMs)
    const maxUs = Math.max(this.#currentMaxUs, this.#previousMaxUs)
    let total = 0
    for (let i = 0; i < BUCKETS; i++) total += this.#current[i]! + this.#previous[i]!
    if (total === 0) return null
    const at = (share: number): number => {
      let left = Math.ceil(total * share)
      for (let i = 0; i < BUCKETS; i++) {
        left -= this.#current[i]! + this.#previous[i]!
        if (left <= 0) return Math.min(largestIn(i), maxUs) / 1000
      }
      return maxUs / 1000
    }
    return { p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99), max_ms: maxUs / 1000 }
  }

  #turn(nowMs: number): void {
    const isRecent = nowMs - this.#windowStartedAt < 2 * WINDOW_MS
    const emptied = this.#previous.fill(0)
    this.#previous = isRecent ? this.#current : emptied
    this.#current = isRecent ? emptied : this.#current.fill(0)
    this.#previousMaxUs = isRecent ? this.#currentMaxUs : 0
    this.#currentMaxUs = 0
    this.#windowStartedAt = nowMs
  }
}

// Below 16 µs one bucket per µs; above, the four bits after the leading one choose the step.
function bucketOf(us: number): number {
  if (us < STEPS) return us
  const shift = 31 - Math.clz32(us) - STEP_BITS
  return (shift << STEP_BITS) + (us >>> shift)
}

function largestIn(bucket: number): number {
  if (bucket < 2 * STEPS) return bucket
  const shift = (bucket >> STEP_BITS) - 1
  return ((bucket & (STEPS - 1)) + STEPS + 1) * 2 ** shift - 1
}
