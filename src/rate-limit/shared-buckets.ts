// Buckets that all instances of the service share, in Redis. Without Redis each instance counts by itself, at a rate of
// its own, and looks every now and then whether Redis is back.

import { Redis } from 'ioredis'
import type { Buckets, Rate, Verdict } from './buckets.ts'
import { LocalBuckets } from './local-buckets.ts'
import { redisReason } from './redis-reason.ts'

export interface SharedBucketsOptions {
  /** redis:// or rediss:// */
  url: string
  rate: Rate
  /** Of each instance while Redis is lost. */
  fallbackRate: Rate
  /** Redis came or went; the reason says nothing secret. */
  onChange(isShared: boolean, reason: string): void
}

// An answer that takes longer than this is none: the request must not wait for a counter.
const ANSWER_TIMEOUT_MS = 250
const CONNECT_TIMEOUT_MS = 1_000
const PROBE_INTERVAL_MS = 500
/** Of the key of every bucket; its value is the moment at which it is full, in milliseconds. */
export const BUCKET_PREFIX = 'annals:rate-limit:'

// As `takeToken`, atomic, by the clock of Redis, which is one for all. Numbers go back as text: Redis cuts off fractions.
const TAKE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local token, burst = 1000 / ARGV[1], tonumber(ARGV[2])
local missing = math.max(0, (tonumber(redis.call('GET', KEYS[1])) or now) - now) + token
local wait = missing - burst * token
if wait > 0.01 then return { tostring(wait), tostring(missing - token) } end
redis.call('SET', KEYS[1], string.format('%.3f', now + missing), 'PX', math.ceil(missing))
return { '0', tostring(missing) }
`

type WithTake = Redis & { takeToken(key: string, perSecond: number, burst: number): Promise<[string, string]> }

export class SharedBuckets implements Buckets {
  readonly #options: SharedBucketsOptions
  readonly #fallback: LocalBuckets
  readonly #redis: WithTake
  #isShared = false
  /** Why Redis does not count; empty while it does, and before the first try. */
  #reason = ''
  #isClosed = false
  #timer: NodeJS.Timeout | undefined

  /** Connects in the background; until that has worked, and whenever it is lost, the fallback counts. */
  constructor(options: SharedBucketsOptions) {
    this.#options = options
    this.#fallback = new LocalBuckets(options.fallbackRate)
    this.#redis = new Redis(options.url, {
      commandTimeout: ANSWER_TIMEOUT_MS,
      connectTimeout: CONNECT_TIMEOUT_MS,
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      retryStrategy: () => PROBE_INTERVAL_MS,
      connectionName: 'annals',
      scripts: { takeToken: { lua: TAKE, numberOfKeys: 1 } },
    }) as WithTake
    this.#redis.on('error', (error) => this.#lose(error))
    this.#redis.on('close', () => this.#lose(new Error('the connection was closed')))
    this.#redis.on('ready', () => void this.#probe())
  }

  /** Whether Redis counts at the moment. */
  get isShared(): boolean {
    return this.#isShared
  }

  take(key: string): Verdict | Promise<Verdict> {
    if (!this.#isShared) return this.#fallback.take(key)
    const { rate } = this.#options
    return this.#redis.takeToken(BUCKET_PREFIX + key, rate.perSecond, rate.burst).then(
      ([wait, missing]) => verdictOf(rate, Number(wait), Number(missing)),
      (error: unknown) => {
        this.#lose(error)
        return this.#fallback.take(key)
      },
    )
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#redis.disconnect()
  }

  #lose(error: unknown): void {
    if (this.#isClosed) return
    this.#timer ??= setTimeout(() => void this.#probe(), PROBE_INTERVAL_MS).unref()
    this.#change(false, redisReason(error))
  }

  // The same command as a request's, so that what is found to work is what is needed.
  async #probe(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#isClosed || this.#isShared) return
    try {
      await this.#redis.takeToken(`${BUCKET_PREFIX}probe`, 1, 1)
      this.#change(true, '')
    } catch (error) {
      this.#lose(error)
    }
  }

  #change(isShared: boolean, reason: string): void {
    if (this.#isShared === isShared && this.#reason === reason) return
    // A reason that only becomes more exact is no change for those who asked while Redis was away.
    const isNews = this.#isShared !== isShared || this.#reason === ''
    this.#isShared = isShared
    this.#reason = reason
    if (isNews) this.#options.onChange(isShared, reason)
  }
}

const verdictOf = (rate: Rate, waitMs: number, missingMs: number): Verdict => ({
  isAllowed: waitMs === 0,
  rate,
  remaining: waitMs === 0 ? Math.floor(rate.burst - (missingMs * rate.perSecond) / 1000 + 0.01) : 0,
  waitMs,
  fullInMs: missingMs,
})
