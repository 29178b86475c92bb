// The connections of a pool: `pg.Pool` opens, keeps and closes them. Here is known which of them are still good: all are
// replaced when they lead to the wrong server, each when it is old, and where there is doubt one is tested.

import pg from 'pg'
import { MeasuredClient } from './pool-client.ts'
import type { PoolMeter } from './pool-meter.ts'
import { clientConfig, type PoolOptions } from './pool-options.ts'

const LIFETIME_JITTER = 0.1
const MIN_RESET_INTERVAL_MS = 500
const READ_ONLY = '25006'

export class PoolConnections {
  readonly #options: Readonly<PoolOptions>
  readonly #meter: PoolMeter
  readonly #pool: pg.Pool
  readonly #open = new Set<MeasuredClient>()
  #generation = 0
  #lastResetAt = Number.NEGATIVE_INFINITY
  #suspectUntil = Number.NEGATIVE_INFINITY
  #isPooled = false

  /** `onGone` is called when a connection was closed or died. */
  constructor(options: Readonly<PoolOptions>, meter: PoolMeter, onGone: () => void) {
    this.#options = options
    this.#meter = meter
    const measured = {
      connectTimeoutMs: options.connectTimeoutMs,
      queryTimeoutMs: options.queryTimeoutMs,
      session: options.session,
      introduce: options.introduce,
      onServerError: (client: MeasuredClient, state: string) => {
        if (state === READ_ONLY) this.#leaveReadOnly(client)
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
      onGone()
    })
    this.#pool.on('remove', (client) => {
      this.#open.delete(client as unknown as MeasuredClient)
      onGone()
    })
  }

  /** Open ones. */
  get size(): number {
    return this.#open.size
  }

  /** Open ones that nobody has. */
  get idle(): number {
    return this.#pool.idleCount
  }

  /** Open ones, and those that are being opened. */
  get total(): number {
    return this.#pool.totalCount
  }

  /** Whether a pooler such as PgBouncer sits between; known with the first connection. */
  get isPooled(): boolean {
    return this.#isPooled
  }

  /** Asks for an idle one, or a new one where none is idle and there is room; {@link takeOver} what comes. */
  take(arrived: (error: Error | undefined, client: pg.PoolClient | undefined) => void): void {
    this.#pool.connect(arrived)
  }

  /** Whether this one can be used at all: in order, and opened since all were replaced. */
  isCurrent(client: MeasuredClient): boolean {
    return client.generation === this.#generation && client.isReusable
  }

  /** Whether this one can go on from one user to the next. */
  mayGoOn(client: MeasuredClient, now: number): boolean {
    return this.isCurrent(client) && client.expiresAt >= now
  }

  /** Whether this one has to be tested before it is used. */
  isDoubtful(client: MeasuredClient, now: number): boolean {
    return now - client.idleSince > this.#options.testAfterIdleMs || client.idleSince <= this.#suspectUntil
  }

  /** Closes one that was taken; `error` is why, when it was lost. */
  close(client: MeasuredClient, error: Error | null = null): void {
    const failure = client.failure ?? error
    if (failure !== null) this.#lost(failure)
    this.#open.delete(client)
    client.giveBack(true)
  }

  /** Replaces all: idle ones now, the others when they come back. */
  replaceAll(): void {
    this.#generation++
    this.#lastResetAt = performance.now()
    for (let i = this.#pool.idleCount; i > 0; i--) {
      this.take((error, raw) => {
        if (error) return this.#meter.failed(error)
        const client = takeOver(raw as pg.PoolClient)
        if (this.isCurrent(client)) client.giveBack()
        else this.close(client)
      })
    }
  }

  /** Replaces all, unless that was done since this one was opened. */
  replaceGenerationOf(client: MeasuredClient): void {
    if (client.generation === this.#generation) this.replaceAll()
  }

  /** Opens no more, and resolves when all that are in use have come back and are closed. */
  async end(): Promise<void> {
    await this.#pool.end()
    await Promise.all(
      [...this.#open].map((client) => new Promise((resolve) => client.once('end', () => resolve(null)))),
    )
  }

  /** Cuts what is still open. */
  cut(): void {
    for (const client of this.#open) client.abort()
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
    return (this.#options.maxLifetimeMs / 1000) * (1 - Math.random() * LIFETIME_JITTER)
  }

  // A connection rarely dies alone; those that were idle at the time are tested before they are handed out.
  #lost(error: Error): void {
    this.#suspectUntil = performance.now()
    this.#meter.failed(error)
  }

  // The first 25006 after a failover: the connections lead to what is a standby now. A database that stays read-only
  // would have every append replace the pool, so not more often than twice a second.
  #leaveReadOnly(client: MeasuredClient): void {
    if (performance.now() - this.#lastResetAt >= MIN_RESET_INTERVAL_MS) this.replaceGenerationOf(client)
  }
}

/** What `pg.Pool` handed over, as what it is; its `release` is kept, because those who borrow it get another one. */
export function takeOver(raw: pg.PoolClient): MeasuredClient {
  const client = raw as unknown as MeasuredClient
  client.giveBack = raw.release
  return client
}
