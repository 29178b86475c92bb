// The pool: `pg.Pool` keeps and closes the connections, this layer decides who gets one, in what state, and measures.

import pg from 'pg'
import { AppError } from '../errors.ts'
import { LatencyHistogram, type Quantiles } from './latency-histogram.ts'
import { ConnectTimeoutError, isConnectionFailure, isSurelyNotApplied, markNeverExecuted } from './pg-errors.ts'
import { MeasuredClient } from './pool-client.ts'
import { clientConfig, type PoolObserver, type PoolOptions } from './pool-options.ts'
import { type Waiter, WaitQueue } from './wait-queue.ts'

const LIFETIME_JITTER = 0.1
const TEST_TIMEOUT_MS = 500
const USAGE_WINDOW_MS = 60_000
const MIN_RESET_INTERVAL_MS = 1_000
const REFILL_PAUSES_MS = [0, 100, 200, 400, 800, 1_000]
// The server has no room for more connections; those that are open go on serving.
const TOO_MANY_CONNECTIONS = '53300'
const FULL_SERVER_PAUSE_MS = 250

export interface PoolStats {
  /** Open connections. */
  size: number
  idle: number
  used: number
  waiting: number
  /** How long the one who waits longest has waited; null when nobody waits. */
  oldest_wait_ms: number | null
  max: number
  min: number
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

interface UsageMark {
  at: number
  acquisitions: number
  useMs: number
}

export class MeasuredPool {
  readonly options: Readonly<PoolOptions>
  readonly #pool: pg.Pool
  readonly #observer: PoolObserver | undefined
  readonly #open = new Set<MeasuredClient>()
  readonly #waiters: WaitQueue
  readonly #latency = new LatencyHistogram(performance.now())
  #previousMark: UsageMark = { at: performance.now(), acquisitions: 0, useMs: 0 }
  #mark = this.#previousMark
  #used = 0
  /** Connections asked of `pg.Pool` and not yet handed out. */
  #pending = 0
  #generation = 0
  #lastResetAt = Number.NEGATIVE_INFINITY
  #refillTimer: NodeJS.Timeout | undefined
  #refillFailures = 0
  #isRefilling = false
  #isServerFull = false
  #fullTimer: NodeJS.Timeout | undefined
  #isEnding = false
  #ended: Promise<void> | undefined
  #useMs = 0
  #errors = 0
  #isPooled = false
  readonly #timeouts = { queue: 0, connect: 0 }

  constructor(options: PoolOptions) {
    this.options = options
    this.#observer = options.observer
    this.#waiters = new WaitQueue(options.acquireTimeoutMs, () => this.#timeOut())
    const measured = {
      connectTimeoutMs: options.connectTimeoutMs,
      queryTimeoutMs: options.queryTimeoutMs,
      session: options.session,
      onServerError: (client: MeasuredClient, state: string) => {
        if (state === '25006') this.#leaveReadOnly(client)
      },
    }
    this.#pool = new pg.Pool({
      ...clientConfig(options.url, options.applicationName),
      max: options.max,
      min: options.min,
      idleTimeoutMillis: options.idleTimeoutMs,
      maxLifetimeSeconds: this.#nextLifetimeSeconds(),
      Client: MeasuredClient as unknown as new () => pg.ClientBase,
      ...{ measured },
    })
    this.#pool.on('connect', (client) => this.#register(client as unknown as MeasuredClient))
    this.#pool.on('error', (error, client) => {
      this.#open.delete(client as unknown as MeasuredClient)
      this.#fail(error)
      this.#refillSoon()
    })
    this.#pool.on('remove', (client) => {
      this.#open.delete(client as unknown as MeasuredClient)
      this.#serve()
      this.#refillSoon()
    })
  }

  /** Opens the minimum of connections. Resolves when they are open, or the first one failed; then it goes on by itself. */
  start(): Promise<void> {
    return this.#refill()
  }

  /** Whether a pooler such as PgBouncer sits between; session state must then be left alone. */
  get isPooled(): boolean {
    return this.#isPooled
  }

  /**
   * A connection that was alive a moment ago; `release()` it, with an error when it must not be used again.
   * @throws AppError `pool_exhausted` after the acquire time-out, `shutting_down` after `end()`; errors of connecting.
   */
  connect(): Promise<pg.PoolClient> {
    return new Promise((resolve, reject) => {
      if (this.#isEnding) return reject(shuttingDown())
      this.#waiters.add({ since: performance.now(), resolve, reject })
      this.#serve()
    })
  }

  /** One statement on a connection of its own. One that the server surely did not take up is sent once more. */
  async query<R extends pg.QueryResultRow = pg.QueryResultRow>(
    config: string | pg.QueryConfig,
    values?: unknown[],
  ): Promise<pg.QueryResult<R>>
  async query(config: pg.QueryArrayConfig): Promise<pg.QueryArrayResult<unknown[]>>
  async query(config: string | pg.QueryConfig, values?: unknown[]): Promise<pg.QueryResult> {
    for (let isRetry = false; ; isRetry = true) {
      const client = await this.connect()
      try {
        const result = await client.query(config, values)
        client.release()
        return result
      } catch (error) {
        const isLost = isConnectionFailure(error)
        client.release(isLost ? (error as Error) : undefined)
        if (isRetry || !isLost || !isSurelyNotApplied(error)) throw error
      }
    }
  }

  stats(): PoolStats {
    const idle = this.#pool.idleCount
    const size = this.#open.size
    const { oldest } = this.#waiters
    const none = { p50_ms: null, p95_ms: null, p99_ms: null, max_ms: null }
    return {
      size,
      idle,
      used: Math.max(size - idle, 0),
      waiting: this.#waiters.length,
      oldest_wait_ms: oldest === undefined ? null : Math.round(performance.now() - oldest.since),
      max: this.options.max,
      min: this.options.min,
      acquire: { count: this.#latency.count, ...(this.#latency.quantiles(performance.now()) ?? none) },
      timeouts: { ...this.#timeouts },
      errors: this.#errors,
    }
  }

  usage(): PoolUsage {
    const now = performance.now()
    this.#markUsage(now)
    const { at, acquisitions, useMs } = this.#previousMark
    const count = this.#latency.count - acquisitions
    return {
      acquisitions_per_second: now > at ? (count * 1000) / (now - at) : 0,
      hold_ms: count > 0 ? (this.#useMs - useMs) / count : null,
    }
  }

  /** Replaces every connection: idle ones now, the others when they come back. */
  reset(): void {
    this.#generation++
    this.#lastResetAt = performance.now()
    for (let i = this.#pool.idleCount; i > 0; i--) {
      this.#pool.connect((error, raw) => {
        if (error) return this.#fail(error)
        const client = raw as unknown as MeasuredClient
        client.giveBack = releaseOf(client)
        this.#takeBack(client)
      })
    }
  }

  /** Takes no more callers, waits up to `deadlineMs` for connections in use, then cuts them. */
  end(deadlineMs = 5_000): Promise<void> {
    this.#ended ??= this.#end(deadlineMs)
    return this.#ended
  }

  async #end(deadlineMs: number): Promise<void> {
    this.#isEnding = true
    clearTimeout(this.#refillTimer)
    this.#waiters.rejectAll(shuttingDown)
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadlineMs)
    })
    await Promise.race([this.#pool.end().then(() => this.#allClosed()), deadline])
    clearTimeout(timer)
    clearTimeout(this.#fullTimer)
    for (const client of this.#open) client.abort()
  }

  #allClosed(): Promise<unknown> {
    return Promise.all(
      [...this.#open].map((client) => new Promise((resolve) => client.once('end', () => resolve(null)))),
    )
  }

  /** Asks `pg.Pool` for as many connections as there are waiters that it can serve. */
  #serve(): void {
    while (this.#pending < this.#waiters.length && this.#used + this.#pending < this.options.max && !this.#isEnding) {
      if (this.#isServerFull && this.#pool.idleCount <= this.#pending) return
      this.#pending++
      this.#pool.connect(this.#arrived)
    }
  }

  readonly #arrived = (error: Error | undefined, raw: pg.PoolClient | undefined): void => {
    if (error || raw === undefined) return this.#notConnected(error ?? new Error('no connection'))
    const client = raw as unknown as MeasuredClient
    client.giveBack = releaseOf(client)
    if (!this.#isCurrent(client)) return this.#discard(client)
    const now = performance.now()
    if (now - client.idleSince <= this.options.testAfterIdleMs) return this.#supply(client, now)
    client.test(TEST_TIMEOUT_MS, (isAlive) => {
      if (isAlive) {
        client.idleSince = performance.now()
        return this.#supply(client, client.idleSince)
      }
      // Dead or black-holed: the others that were idle as long are suspects, and testing them one by one takes long.
      this.#fail(new Error('an idle connection did not answer'))
      if (client.generation === this.#generation) this.reset()
      this.#discard(client)
    })
  }

  #discard(client: MeasuredClient): void {
    this.#pending--
    this.#close(client)
    this.#serve()
  }

  #supply(client: MeasuredClient, now: number): void {
    this.#pending--
    const waiter = this.#waiters.next()
    if (waiter === undefined) return client.giveBack()
    this.#handOut(client, waiter, now)
  }

  #handOut(client: MeasuredClient, waiter: Waiter, now: number): void {
    this.#used++
    client.acquiredAt = now
    const waitMs = now - waiter.since
    this.#latency.record(waitMs, now)
    this.#observer?.acquired(waitMs / 1000)
    let isReleased = false
    const handed = client as unknown as pg.PoolClient
    handed.release = (error) => {
      if (isReleased) throw new Error('this connection has already been released')
      isReleased = true
      this.#release(client, error)
    }
    waiter.resolve(handed)
  }

  #release(client: MeasuredClient, error: Error | boolean | undefined): void {
    const now = performance.now()
    this.#used--
    this.#useMs += now - client.acquiredAt
    if (now - this.#mark.at > USAGE_WINDOW_MS) this.#markUsage(now)
    this.#observer?.released((now - client.acquiredAt) / 1000)
    if (error || !this.#isCurrent(client) || client.expiresAt < now) {
      if (error instanceof Error && isConnectionFailure(error)) this.#fail(error)
      this.#close(client)
      this.#serve()
      return
    }
    client.idleSince = now
    const waiter = this.#isEnding ? undefined : this.#waiters.next()
    if (waiter === undefined) client.giveBack()
    else this.#handOut(client, waiter, now)
  }

  #markUsage(now: number): void {
    if (now - this.#mark.at <= USAGE_WINDOW_MS) return
    this.#previousMark = this.#mark
    this.#mark = { at: now, acquisitions: this.#latency.count, useMs: this.#useMs }
  }

  #isCurrent(client: MeasuredClient): boolean {
    return client.generation === this.#generation && client.isReusable
  }

  #close(client: MeasuredClient): void {
    this.#open.delete(client)
    client.giveBack(true)
  }

  #takeBack(client: MeasuredClient): void {
    if (!this.#isCurrent(client)) this.#close(client)
    else client.giveBack()
  }

  #notConnected(error: Error): void {
    this.#pending--
    this.#fail(error)
    if ((error as pg.DatabaseError).code === TOO_MANY_CONNECTIONS && this.#used > 0) return this.#pauseDialling()
    const waiter = this.#waiters.next()
    if (waiter !== undefined) {
      if (error instanceof ConnectTimeoutError) this.#countTimeout('connect')
      waiter.reject(error)
    }
    this.#serve()
    this.#refillSoon()
  }

  #pauseDialling(): void {
    clearTimeout(this.#fullTimer)
    this.#isServerFull = true
    this.#fullTimer = setTimeout(() => {
      this.#isServerFull = false
      this.#serve()
    }, FULL_SERVER_PAUSE_MS).unref()
  }

  #register(client: MeasuredClient): void {
    client.generation = this.#generation
    client.idleSince = performance.now()
    client.expiresAt = client.idleSince + (this.#pool.options.maxLifetimeSeconds ?? 0) * 1000
    this.#open.add(client)
    this.#isPooled = client.isPooled
    this.#observer?.created(client.createdInMs / 1000)
    // `pg.Pool` has read the lifetime for this connection already: this is the next one's.
    this.#pool.options.maxLifetimeSeconds = this.#nextLifetimeSeconds()
  }

  #nextLifetimeSeconds(): number {
    return (this.options.maxLifetimeMs / 1000) * (1 - Math.random() * LIFETIME_JITTER)
  }

  #fail(error: Error): void {
    this.#errors++
    this.#observer?.failed(error)
  }

  #countTimeout(kind: 'queue' | 'connect'): void {
    this.#timeouts[kind]++
    this.#observer?.timedOut(kind)
  }

  #timeOut(): Error {
    const limit = `${this.options.acquireTimeoutMs} ms`
    const isConnecting = this.#pending > 0
    this.#countTimeout(isConnecting ? 'connect' : 'queue')
    return isConnecting
      ? markNeverExecuted(new ConnectTimeoutError(`no connection within ${limit}`))
      : new AppError('pool_exhausted', `No database connection came free within ${limit}.`)
  }

  // The first 25006 after a failover: the connections lead to what is a standby now. A database that stays read-only
  // would have every append replace the pool, so not more often than once a second.
  #leaveReadOnly(client: MeasuredClient): void {
    if (client.generation !== this.#generation) return
    if (performance.now() - this.#lastResetAt >= MIN_RESET_INTERVAL_MS) this.reset()
  }

  #refillSoon(): void {
    if (this.#refillTimer !== undefined || this.#isEnding || this.#open.size >= this.options.min) return
    const pauseMs = REFILL_PAUSES_MS[Math.min(this.#refillFailures, REFILL_PAUSES_MS.length - 1)]
    this.#refillTimer = setTimeout(() => {
      this.#refillTimer = undefined
      void this.#refill()
    }, pauseMs).unref()
  }

  /** `pg.Pool` opens a connection only when none is idle: all idle ones are held for a moment so that it opens more. */
  async #refill(): Promise<void> {
    const missing = this.options.min - this.#pool.totalCount
    if (missing <= 0 || this.#isEnding || this.#isRefilling) return
    this.#isRefilling = true
    const asked = Array.from({ length: this.#pool.idleCount + missing }, () => this.#warm())
    const failures = (await Promise.all(asked)).filter((error) => error !== undefined)
    this.#isRefilling = false
    this.#refillFailures = failures.length === 0 ? 0 : this.#refillFailures + 1
    this.#refillSoon()
  }

  #warm(): Promise<Error | undefined> {
    this.#pending++
    return new Promise((resolve) => {
      this.#pool.connect((error, raw) => {
        if (error) {
          this.#pending--
          this.#fail(error)
          this.#serve()
          return resolve(error)
        }
        const client = raw as unknown as MeasuredClient
        client.giveBack = releaseOf(client)
        setImmediate(() => {
          if (!this.#isCurrent(client)) this.#discard(client)
          else this.#supply(client, performance.now())
          resolve(undefined)
        })
      })
    })
  }
}

const releaseOf = (client: MeasuredClient) => (client as unknown as pg.PoolClient).release

const shuttingDown = () => new AppError('shutting_down', 'The service is shutting down.')
