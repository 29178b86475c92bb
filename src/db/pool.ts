// The pool: `pg.Pool` keeps and closes the connections, this layer decides who gets one, in what state, and measures.

import pg from 'pg'
import { AppError } from '../errors.ts'
import { CopyQuery, type CopyReceiver } from './copy-query.ts'
import {
  ConnectTimeoutError,
  isConnectionFailure,
  isSurelyNotApplied,
  markNeverExecuted,
  QueryTimeoutError,
} from './pg-errors.ts'
import { MeasuredClient } from './pool-client.ts'
import { type PoolCounts, PoolMeter, type PoolUsage } from './pool-meter.ts'
import { clientConfig, type PoolOptions } from './pool-options.ts'
import { type Waiter, WaitQueue } from './wait-queue.ts'

const LIFETIME_JITTER = 0.1
const TEST_TIMEOUT_MS = 500
const MIN_RESET_INTERVAL_MS = 500
const REFILL_PAUSES_MS = [0, 100, 200, 400, 800, 1_000]
// The server has no room for more connections; those that are open go on serving.
const TOO_MANY_CONNECTIONS = '53300'
const FULL_SERVER_PAUSE_MS = 250

export interface PoolStats extends PoolCounts {
  /** Open connections. */
  size: number
  idle: number
  used: number
  waiting: number
  /** How long the one who waits longest has waited; null when nobody waits. */
  oldest_wait_ms: number | null
  max: number
  min: number
}

export class MeasuredPool {
  readonly options: Readonly<PoolOptions>
  readonly #pool: pg.Pool
  readonly #meter: PoolMeter
  readonly #open = new Set<MeasuredClient>()
  readonly #waiters: WaitQueue
  #used = 0
  /** Connections asked of `pg.Pool` and not yet handed out. */
  #pending = 0
  #generation = 0
  #lastResetAt = Number.NEGATIVE_INFINITY
  #suspectUntil = Number.NEGATIVE_INFINITY
  #refillTimer: NodeJS.Timeout | undefined
  #refillFailures = 0
  #isRefilling = false
  #isServerFull = false
  #fullTimer: NodeJS.Timeout | undefined
  #isEnding = false
  #ended: Promise<void> | undefined
  #isPooled = false

  constructor(options: PoolOptions) {
    this.options = options
    this.#meter = new PoolMeter(options.observer)
    this.#waiters = new WaitQueue(options.acquireTimeoutMs, () => this.#timeOut())
    const measured = {
      connectTimeoutMs: options.connectTimeoutMs,
      queryTimeoutMs: options.queryTimeoutMs,
      session: options.session,
      introduce: options.introduce,
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
      this.#lost(error)
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

  /** Whether who has this connection may use it again without giving it back in between: nobody else waits for one. */
  canStay(handed: pg.PoolClient): boolean {
    const client = handed as unknown as MeasuredClient
    return (
      this.#waiters.length === 0 && !this.#isEnding && this.#isCurrent(client) && client.expiresAt >= performance.now()
    )
  }

  /** One statement on a connection of its own. One that the server surely did not take up is sent once more. */
  async query<R extends pg.QueryResultRow = pg.QueryResultRow>(
    config: string | pg.QueryConfig,
    values?: unknown[],
  ): Promise<pg.QueryResult<R>>
  async query(config: pg.QueryArrayConfig): Promise<pg.QueryArrayResult<unknown[]>>
  async query(config: string | pg.QueryConfig, values?: unknown[]): Promise<pg.QueryResult> {
    return this.#use((client) => client.query(config, values))
  }

  /** One `COPY … TO STDOUT`, as {@link query}; each try has a receiver of its own, whose data are only valid in the call. */
  copy<R extends CopyReceiver>(text: string, receiver: () => R): Promise<R> {
    return this.#use(async (client) => {
      const taker = receiver()
      const query = new CopyQuery(text, this.options.queryTimeoutMs, taker)
      client.query(query)
      await query.done
      return taker
    })
  }

  async #use<R>(work: (client: pg.PoolClient) => Promise<R>): Promise<R> {
    for (let isRetry = false; ; isRetry = true) {
      const client = await this.connect()
      try {
        const result = await work(client)
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
    return {
      size,
      idle,
      used: Math.max(size - idle, 0),
      waiting: this.#waiters.length,
      oldest_wait_ms: oldest === undefined ? null : Math.round(performance.now() - oldest.since),
      max: this.options.max,
      min: this.options.min,
      ...this.#meter.counts(),
    }
  }

  usage(): PoolUsage {
    return this.#meter.usage()
  }

  /** Replaces every connection: idle ones now, the others when they come back. */
  reset(): void {
    this.#generation++
    this.#lastResetAt = performance.now()
    for (let i = this.#pool.idleCount; i > 0; i--) {
      this.#pool.connect((error, raw) => {
        if (error) return this.#meter.failed(error)
        const client = raw as unknown as MeasuredClient
        client.giveBack = releaseOf(client)
        if (this.#isCurrent(client)) client.giveBack()
        else this.#close(client)
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
    const isFresh = now - client.idleSince <= this.options.testAfterIdleMs && client.idleSince > this.#suspectUntil
    if (isFresh) return this.#supply(client, now)
    client.test(TEST_TIMEOUT_MS, (failure) => {
      if (failure === null) {
        client.idleSince = performance.now()
        return this.#supply(client, client.idleSince)
      }
      // The network is silent: the others that were idle are suspects, and testing them one by one would take long.
      if (failure instanceof QueryTimeoutError && client.generation === this.#generation) this.reset()
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
    this.#meter.acquired(now - waiter.since, now)
    let isReleased = false
    const handed = client as unknown as pg.PoolClient
    handed.release = (error) => {
      if (isReleased) throw new Error('this connection has already been released')
      isReleased = true
      if (!error && client.isSettling) client.settle(() => this.#release(client, error))
      else this.#release(client, error)
    }
    waiter.resolve(handed)
  }

  #release(client: MeasuredClient, error: Error | boolean | undefined): void {
    const now = performance.now()
    this.#used--
    this.#meter.released(now - client.acquiredAt, now)
    if (error || !this.#isCurrent(client) || client.expiresAt < now) {
      this.#close(client, error instanceof Error && isConnectionFailure(error) ? error : null)
      this.#serve()
      return
    }
    client.idleSince = now
    const waiter = this.#isEnding ? undefined : this.#waiters.next()
    if (waiter === undefined) client.giveBack()
    else this.#handOut(client, waiter, now)
  }

  #isCurrent(client: MeasuredClient): boolean {
    return client.generation === this.#generation && client.isReusable
  }

  // A connection rarely dies alone; those that were idle at the time are tested before they are handed out.
  #lost(error: Error): void {
    this.#suspectUntil = performance.now()
    this.#meter.failed(error)
  }

  #close(client: MeasuredClient, error: Error | null = null): void {
    const failure = client.failure ?? error
    if (failure !== null) this.#lost(failure)
    this.#open.delete(client)
    client.giveBack(true)
  }

  #notConnected(error: Error): void {
    this.#pending--
    this.#meter.failed(error)
    const others = this.#used + this.#pending + this.#pool.idleCount
    if ((error as pg.DatabaseError).code === TOO_MANY_CONNECTIONS && others > 0) return this.#pauseDialling()
    const waiter = this.#waiters.next()
    if (waiter !== undefined) {
      if (error instanceof ConnectTimeoutError) this.#meter.timedOut('connect')
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
    this.#meter.created(client.createdInMs)
    // `pg.Pool` has read the lifetime for this connection already: this is the next one's.
    this.#pool.options.maxLifetimeSeconds = this.#nextLifetimeSeconds()
  }

  #nextLifetimeSeconds(): number {
    return (this.options.maxLifetimeMs / 1000) * (1 - Math.random() * LIFETIME_JITTER)
  }

  #timeOut(): Error {
    const limit = `${this.options.acquireTimeoutMs} ms`
    const isConnecting = this.#pending > 0
    this.#meter.timedOut(isConnecting ? 'connect' : 'queue')
    return isConnecting
      ? markNeverExecuted(new ConnectTimeoutError(`no connection within ${limit}`))
      : new AppError('pool_exhausted', `No database connection came free within ${limit}.`)
  }

  // The first 25006 after a failover: the connections lead to what is a standby now. A database that stays read-only
  // would have every append replace the pool, so not more often than twice a second.
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
          this.#meter.failed(error)
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
