// The pool, a layer over `pg.Pool`: connections that are known to be good are lent to callers who queue, a minimum of
// them is kept open, and all of it is measured.

import type pg from 'pg'
import { isConnectionFailure, isSurelyNotApplied, seemsUntouched } from '../pg-errors.ts'
import type { RowReceiver } from '../protocol/row-tap.ts'
import { RowsQuery } from '../protocol/rows-query.ts'
import type { Statement } from '../statement.ts'
import { PoolConnections } from './pool-connections.ts'
import { PoolLender } from './pool-lender.ts'
import { type PoolCounts, PoolMeter, type PoolUsage } from './pool-meter.ts'
import { PoolMinimum } from './pool-minimum.ts'
import type { PoolOptions } from './pool-options.ts'

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
  readonly #meter: PoolMeter
  readonly #connections: PoolConnections
  readonly #lender: PoolLender
  readonly #minimum: PoolMinimum
  #ended: Promise<void> | undefined

  constructor(options: PoolOptions) {
    this.options = options
    this.#meter = new PoolMeter(options.observer)
    this.#connections = new PoolConnections(options, this.#meter, () => {
      this.#lender.serve()
      this.#minimum.fillSoon()
    })
    this.#lender = new PoolLender({
      limits: options,
      connections: this.#connections,
      meter: this.#meter,
      onNotConnected: () => this.#minimum.fillSoon(),
    })
    this.#minimum = new PoolMinimum({
      min: options.min,
      connections: this.#connections,
      warm: () => this.#lender.warm(),
    })
  }

  /** Opens the minimum of connections. Resolves when each is open or has failed; what failed is tried again. */
  start(): Promise<void> {
    return this.#minimum.fill()
  }

  /** Whether a pooler such as PgBouncer sits between; session state must then be left alone. */
  get isPooled(): boolean {
    return this.#connections.isPooled
  }

  /** See {@link PoolLender.lend}. */
  connect(): Promise<pg.PoolClient> {
    return this.#lender.lend()
  }

  /** See {@link PoolLender.canStay}. */
  canStay(lent: pg.PoolClient): boolean {
    return this.#lender.canStay(lent)
  }

  /** One statement on a connection of its own. One that the server does not seem to have taken up is sent once more. */
  async query<R extends pg.QueryResultRow = pg.QueryResultRow>(
    config: string | pg.QueryConfig,
    values?: unknown[],
  ): Promise<pg.QueryResult<R>>
  async query(config: pg.QueryArrayConfig): Promise<pg.QueryArrayResult<unknown[]>>
  async query(config: string | pg.QueryConfig, values?: unknown[]): Promise<pg.QueryResult> {
    return this.#use((client) => client.query(config, values))
  }

  /**
   * One statement whose rows come in binary form, as {@link query}; its values are text or bytes. Each try has a receiver of
   * its own.
   */
  rows<R extends RowReceiver>(statement: Statement, receiver: () => R): Promise<R> {
    return this.#use(async (client) => {
      const taker = receiver()
      const query = new RowsQuery(statement, this.options.queryTimeoutMs, taker)
      client.query(query)
      await query.done
      return taker
    })
  }

  async #use<R>(work: (client: pg.PoolClient) => Promise<R>): Promise<R> {
    for (let isRetry = false; ; isRetry = true) {
      const client = await this.#lender.lend()
      try {
        const result = await work(client)
        client.release()
        return result
      } catch (error) {
        const isLost = isConnectionFailure(error)
        client.release(isLost ? (error as Error) : undefined)
        if (isRetry || !isLost || !(isSurelyNotApplied(error) || seemsUntouched(error))) throw error
      }
    }
  }

  stats(): PoolStats {
    const { size, idle } = this.#connections
    const { waiting, waitingSince } = this.#lender
    return {
      size,
      idle,
      used: Math.max(size - idle, 0),
      waiting,
      oldest_wait_ms: waitingSince === undefined ? null : Math.round(performance.now() - waitingSince),
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
    this.#connections.replaceAll()
  }

  /** Takes no more callers, waits up to `deadlineMs` for connections in use, then cuts them. */
  end(deadlineMs = 5_000): Promise<void> {
    this.#ended ??= this.#end(deadlineMs)
    return this.#ended
  }

  async #end(deadlineMs: number): Promise<void> {
    this.#minimum.stop()
    this.#lender.end()
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadlineMs)
    })
    await Promise.race([this.#connections.end(), deadline])
    clearTimeout(timer)
    this.#connections.cut()
  }
}
