// Hands connections out, first come, first served, and takes them back; one that comes back goes straight to the next.

import type pg from 'pg'
import { AppError } from '../../errors.ts'
import { ConnectTimeoutError, isConnectionFailure, markNeverExecuted, QueryTimeoutError } from '../pg-errors.ts'
import type { MeasuredClient } from './pool-client.ts'
import { type PoolConnections, takeOver } from './pool-connections.ts'
import type { PoolMeter } from './pool-meter.ts'
import type { PoolOptions } from './pool-options.ts'
import { type Waiter, WaitQueue } from './wait-queue.ts'

const TEST_TIMEOUT_MS = 500
// The server has no room for more connections; those that are open go on serving.
const TOO_MANY_CONNECTIONS = '53300'
const FULL_SERVER_PAUSE_MS = 250

export interface PoolLenderOptions {
  limits: Pick<PoolOptions, 'max' | 'acquireTimeoutMs'>
  connections: PoolConnections
  meter: PoolMeter
  /** A connection could not be opened. */
  onNotConnected(): void
}

export class PoolLender {
  readonly #limits: PoolLenderOptions['limits']
  readonly #connections: PoolConnections
  readonly #meter: PoolMeter
  readonly #onNotConnected: () => void
  readonly #waiters: WaitQueue
  #used = 0
  /** Connections that were asked for and are not yet handed out. */
  #pending = 0
  #isServerFull = false
  #fullTimer: NodeJS.Timeout | undefined
  #isEnding = false

  constructor({ limits, connections, meter, onNotConnected }: PoolLenderOptions) {
    this.#limits = limits
    this.#connections = connections
    this.#meter = meter
    this.#onNotConnected = onNotConnected
    this.#waiters = new WaitQueue(limits.acquireTimeoutMs, () => this.#timeOut())
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiters.length
  }

  /** Since when the one has waited who waits longest, by `performance.now()`. */
  get waitingSince(): number | undefined {
    return this.#waiters.oldest?.since
  }

  /**
   * A connection that was alive a moment ago; `release()` it, with an error when it must not be used again.
   * @throws AppError `pool_exhausted` after the acquire time-out, `shutting_down` after `end()`; errors of connecting.
   */
  lend(): Promise<pg.PoolClient> {
    return new Promise((resolve, reject) => {
      if (this.#isEnding) return reject(shuttingDown())
      this.#waiters.add({ since: performance.now(), resolve, reject })
      this.serve()
    })
  }

  /** Whether who has this connection may use it again without giving it back in between: nobody else waits for one. */
  canStay(lent: pg.PoolClient): boolean {
    const client = lent as unknown as MeasuredClient
    return this.#waiters.length === 0 && !this.#isEnding && this.#connections.mayGoOn(client, performance.now())
  }

  /** Asks for as many connections as there are waiters who can have one. */
  serve(): void {
    while (this.#pending < this.#waiters.length && this.#used + this.#pending < this.#limits.max && !this.#isEnding) {
      if (this.#isServerFull && this.#connections.idle <= this.#pending) return
      this.#pending++
      this.#connections.take(this.#arrived)
    }
  }

  /** Takes a connection for whoever waits, or to be idle; resolves with what went wrong, if something did. */
  warm(): Promise<Error | undefined> {
    this.#pending++
    return new Promise((resolve) => {
      this.#connections.take((error, raw) => {
        if (error) {
          this.#pending--
          this.#meter.failed(error)
          this.serve()
          return resolve(error)
        }
        const client = takeOver(raw as pg.PoolClient)
        setImmediate(() => {
          if (!this.#connections.isCurrent(client)) this.#discard(client)
          else this.#supply(client, performance.now())
          resolve(undefined)
        })
      })
    })
  }

  /** Turns everybody away from now on. */
  end(): void {
    this.#isEnding = true
    this.#waiters.rejectAll(shuttingDown)
    clearTimeout(this.#fullTimer)
  }

  readonly #arrived = (error: Error | undefined, raw: pg.PoolClient | undefined): void => {
    if (error || raw === undefined) return this.#notConnected(error ?? new Error('no connection'))
    const client = takeOver(raw)
    if (!this.#connections.isCurrent(client)) return this.#discard(client)
    const now = performance.now()
    if (!this.#connections.isDoubtful(client, now)) return this.#supply(client, now)
    client.test(TEST_TIMEOUT_MS, (failure) => {
      if (failure === null) {
        client.idleSince = performance.now()
        return this.#supply(client, client.idleSince)
      }
      // The network is silent: the others that were idle are suspects, and testing them one by one would take long.
      if (failure instanceof QueryTimeoutError) this.#connections.replaceGenerationOf(client)
      this.#discard(client)
    })
  }

  #discard(client: MeasuredClient): void {
    this.#pending--
    this.#connections.close(client)
    this.serve()
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
    const lent = client as unknown as pg.PoolClient
    lent.release = (error) => {
      if (isReleased) throw new Error('this connection has already been released')
      isReleased = true
      if (!error && client.isSettling) client.settle(() => this.#takeBack(client, error))
      else this.#takeBack(client, error)
    }
    waiter.resolve(lent)
  }

  #takeBack(client: MeasuredClient, error: Error | boolean | undefined): void {
    const now = performance.now()
    this.#used--
    this.#meter.released(now - client.acquiredAt, now)
    if (error || !this.#connections.mayGoOn(client, now)) {
      this.#connections.close(client, error instanceof Error && isConnectionFailure(error) ? error : null)
      this.serve()
      return
    }
    client.idleSince = now
    const waiter = this.#isEnding ? undefined : this.#waiters.next()
    if (waiter === undefined) client.giveBack()
    else this.#handOut(client, waiter, now)
  }

  #notConnected(error: Error): void {
    this.#pending--
    this.#meter.failed(error)
    const others = this.#used + this.#pending + this.#connections.idle
    if ((error as pg.DatabaseError).code === TOO_MANY_CONNECTIONS && others > 0) return this.#pauseDialling()
    const waiter = this.#waiters.next()
    if (waiter !== undefined) {
      if (error instanceof ConnectTimeoutError) this.#meter.timedOut('connect')
      waiter.reject(error)
    }
    this.serve()
    this.#onNotConnected()
  }

  #pauseDialling(): void {
    clearTimeout(this.#fullTimer)
    this.#isServerFull = true
    this.#fullTimer = setTimeout(() => {
      this.#isServerFull = false
      this.serve()
    }, FULL_SERVER_PAUSE_MS).unref()
  }

  #timeOut(): Error {
    const limit = `${this.#limits.acquireTimeoutMs} ms`
    const isConnecting = this.#pending > 0
    this.#meter.timedOut(isConnecting ? 'connect' : 'queue')
    return isConnecting
      ? markNeverExecuted(new ConnectTimeoutError(`no connection within ${limit}`))
      : new AppError('pool_exhausted', `No database connection came free within ${limit}.`)
  }
}

const shuttingDown = () => new AppError('shutting_down', 'The service is shutting down.')
