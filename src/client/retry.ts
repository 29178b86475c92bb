/** How often and after which pauses something is tried again. */
export interface RetryOptions {
  /** Tries in all; 8 when absent. */
  attempts: number
  /** First pause in milliseconds; doubles each time. 100 when absent. */
  minDelayMs: number
  /** Longest pause in milliseconds, unless the service asks for a longer one. 5,000 when absent. */
  maxDelayMs: number
}

export const DEFAULT_RETRY: RetryOptions = { attempts: 8, minDelayMs: 100, maxDelayMs: 5_000 }

/** Pause before the next try, in milliseconds: random, so that many clients don't come back at once. */
export function pauseMs(failures: number, { minDelayMs, maxDelayMs }: RetryOptions, retryAfterMs = 0): number {
  const backoff = Math.min(maxDelayMs, minDelayMs * 2 ** (failures - 1))
  return Math.max(retryAfterMs * (1 + Math.random() / 4), backoff * (0.5 + Math.random() / 2))
}

/** `Retry-After` in milliseconds: seconds, or a date. */
export function readRetryAfter(header: string | null): number | undefined {
  if (header === null) return undefined
  const seconds = Number(header)
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}

/** Rejects with the signal's reason when it is aborted first. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error)
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
