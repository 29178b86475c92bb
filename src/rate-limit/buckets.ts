// What one client may do: a bucket of tokens that fills steadily, and each request takes one.

export interface Rate {
  /** Stands for the rate in headers. */
  name: string
  perSecond: number
  /** Tokens of a full bucket. */
  burst: number
}

export interface Verdict {
  isAllowed: boolean
  rate: Rate
  /** Whole tokens that are left. */
  remaining: number
  /** Time until there is a token; 0 while there is one. */
  waitMs: number
  /** Time until the bucket is full. */
  fullInMs: number
}

export interface Buckets {
  /** Takes a token out of the bucket of `key`. */
  take(key: string): Verdict | Promise<Verdict>
}

// Sums of fractions: the last token of a full bucket is there, whatever the fifteenth digit says.
const ROUNDING_MS = 0.01

/**
 * The arithmetic of a bucket, which is kept as the time at which it will be full: one number, and nothing to do while
 * nobody asks. `fullAtMs` is undefined for a bucket that was never used. The new time counts only if it is allowed.
 */
export function takeToken(rate: Rate, fullAtMs: number | undefined, nowMs: number): Verdict & { fullAtMs: number } {
  const tokenMs = 1000 / rate.perSecond
  const before = Math.max(0, (fullAtMs ?? nowMs) - nowMs)
  const missing = before + tokenMs
  const waitMs = missing - rate.burst * tokenMs
  if (waitMs > ROUNDING_MS) {
    return { isAllowed: false, rate, remaining: 0, waitMs, fullInMs: before, fullAtMs: nowMs + before }
  }
  const remaining = Math.floor((rate.burst * tokenMs - missing + ROUNDING_MS) / tokenMs)
  return { isAllowed: true, rate, remaining, waitMs: 0, fullInMs: missing, fullAtMs: nowMs + missing }
}
