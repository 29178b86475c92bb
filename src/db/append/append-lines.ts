// The connections of the append gate. One stays with it from batch to batch, because giving it back and asking for it again
// would let the answers of the last batch be written first. Others who wait for one have it in between.

import type { PoolClient } from 'pg'
import type { MeasuredPool } from '../connections/pool.ts'
import type { MeasuredClient } from '../connections/pool-client.ts'
import { isSurelyNotApplied, translatePgError } from '../pg-errors.ts'
import { BATCH_STATEMENT } from './append-events.ts'

type LentClient = PoolClient & Pick<MeasuredClient, 'isPipelined' | 'hasPrepared'>

/** A connection with the batches that are on their way on it. */
export interface Line {
  readonly client: LentClient
  onTheWay: number
  /** Takes no more batches: something went wrong on it. */
  isSpent: boolean
  /** Why the connection is of no more use, if so. */
  failure: Error | undefined
}

export class AppendLines {
  readonly #pool: MeasuredPool
  /** The one that stays. */
  #line: Line | undefined

  constructor(pool: MeasuredPool) {
    this.#pool = pool
  }

  /** Whether a batch that is sent now goes behind another one. */
  get canFollow(): boolean {
    const line = this.#line
    if (line === undefined || line.isSpent || line.onTheWay !== 1 || this.#pool.isPooled) return false
    // Behind one that fails before the statement is prepared the next would find it missing.
    return line.client.hasPrepared(BATCH_STATEMENT)
  }

  /** The line that stays, when a batch may go there; not by a promise, so that the next one knows of it. */
  get current(): Line | undefined {
    return this.#line?.onTheWay === 0 || this.canFollow ? this.#line : undefined
  }

  /** @throws AppError as the pool does */
  async open(): Promise<Line> {
    const client = (await this.#pool.connect().catch((error: unknown) => {
      throw translatePgError(error)
    })) as LentClient
    client.isPipelined = !this.#pool.isPooled
    const line: Line = { client, onTheWay: 0, isSpent: false, failure: undefined }
    this.#line ??= line
    return line
  }

  /** Runs what sends a batch on the line and waits for its answer. */
  async use<Answer>(line: Line, send: () => Promise<Answer>): Promise<Answer> {
    line.onTheWay++
    try {
      return await send()
    } catch (error) {
      line.isSpent = true
      if (!isSurelyNotApplied(error)) line.failure ??= error as Error
      throw error
    } finally {
      line.onTheWay--
      if (line.onTheWay === 0) this.#keep(line)
    }
  }

  /** Gives back the line that stays, unless something is on its way there. */
  rest(): void {
    if (this.#line?.onTheWay === 0) this.#giveBack(this.#line)
  }

  #keep(line: Line): void {
    if (line.isSpent || line !== this.#line || !this.#pool.canStay(line.client)) this.#giveBack(line)
  }

  #giveBack(line: Line): void {
    if (line === this.#line) this.#line = undefined
    line.client.isPipelined = false
    line.client.release(line.failure)
  }
}
