// Consumers on PostgreSQL: making, changing and removing them, and reading without a lease.

import { isDeepStrictEqual } from 'node:util'
import { type FilterJson, filterJson, filterOf } from '../../consumers/consumer-filter.ts'
import { AppError } from '../../errors.ts'
import type { MeasuredPool } from '../connections/pool.ts'
import type { EventLog } from '../event-log.ts'
import { quoteIdentifier } from '../sql.ts'
import { afterChange, inTransaction, query, type Run } from '../transaction.ts'
import { aheadOfStore, consumerNotFound, consumerPaused } from './consumer-errors.ts'
import { ConsumerLeases, MAX_WINDOWS, WINDOW } from './consumer-leases.ts'
import { parkedEvent, parkedStatement, replayStatement } from './consumer-parked.ts'
import { checkpointStatement, lockAllStatement } from './consumer-partitions.ts'
import { consumerStanding, standingStatement } from './consumer-standing.ts'
import type {
  Claim,
  ClaimRequest,
  ConsumerBatch,
  ConsumerRequest,
  ConsumerStanding,
  ConsumerStart,
  ConsumerStore,
  NackRequest,
  ParkedEvent,
  Progress,
} from './consumer-store.ts'

export interface ConsumersOptions {
  pool: MeasuredPool
  schema: string
  log: Pick<EventLog, 'readFeed'>
}

/** Each of them is a row of the metrics, and read on a timer. */
const MAX_CONSUMERS = 100
const DEFAULT_PARTITIONS = 8

export class PostgresConsumers implements ConsumerStore {
  readonly #pool: MeasuredPool
  readonly #schema: string
  readonly #tables: string
  readonly #log: Pick<EventLog, 'readFeed'>
  readonly #leases: ConsumerLeases
  readonly #listeners = new Map<string, Set<() => void>>()

  constructor({ pool, schema, log }: ConsumersOptions) {
    this.#pool = pool
    this.#schema = schema
    this.#tables = quoteIdentifier(schema)
    this.#log = log
    this.#leases = new ConsumerLeases(pool, schema)
  }

  async put(name: string, request: ConsumerRequest): Promise<{ isNew: boolean; consumer: ConsumerStanding }> {
    const isNew = await inTransaction(this.#pool, async (run) => {
      // One at a time, so that two can't make the same one, nor one too many.
      await run({ text: `LOCK TABLE ${this.#tables}.annals_consumers IN SHARE ROW EXCLUSIVE MODE`, values: [] })
      const [known] = await run({
        text: `SELECT start, partitions FROM ${this.#tables}.annals_consumers WHERE name = $1`,
        values: [name],
      })
      if (known === undefined) await this.#insert(run, name, request)
      else await this.#update(run, name, request, { start: String(known[0]), partitions: Number(known[1]) })
      return known === undefined
    })
    this.#released(name)
    return { isNew, consumer: await afterChange(() => this.read(name)) }
  }

  async list(): Promise<ConsumerStanding[]> {
    return (await query(this.#pool, standingStatement(this.#schema))).map(consumerStanding)
  }

  async read(name: string): Promise<ConsumerStanding> {
    const [row] = await query(this.#pool, standingStatement(this.#schema, name))
    if (row === undefined) throw consumerNotFound(name)
    return consumerStanding(row)
  }

  delete(name: string): Promise<void> {
    return inTransaction(this.#pool, async (run) => {
      await run(lockAllStatement(this.#schema, name))
      const rows = await run({
        text: `DELETE FROM ${this.#tables}.annals_consumers WHERE name = $1 RETURNING name`,
        values: [name],
      })
      if (rows.length === 0) throw consumerNotFound(name)
    })
  }

  async readNext(name: string, limit: number, maxBytes: number): Promise<ConsumerBatch> {
    const { filter, checkpoint } = await this.#begin(name)
    const isFiltered = Object.keys(filter).length > 0
    let position = checkpoint
    for (let windows = 1; ; windows++) {
      const bound = isFiltered ? { upTo: position + WINDOW } : {}
      const page = await this.#log.readFeed({
        ...filter,
        after: position,
        ...bound,
        direction: 'forward',
        limit,
        maxBytes,
      })
      const { head, events } = page
      if (checkpoint > head) throw aheadOfStore(checkpoint, head)
      position = Math.max(position, page.isFull ? (events.at(-1)?.at as number) : Math.min(head, bound.upTo ?? head))
      if (events.length > 0) return { filter, checkpoint, head, events, position }
      if (position < head && windows < MAX_WINDOWS) continue
      if (position > checkpoint) await this.#passOver(name, checkpoint, position)
      return { filter, checkpoint: position, head, events, position }
    }
  }

  async acknowledge(name: string, position: number): Promise<Progress> {
    return inTransaction(this.#pool, async (run) => {
      const partitions = await this.#lockAll(run, name)
      if (partitions.some(([, isClaimed]) => Boolean(isClaimed))) {
        throw new AppError('consumer_claimed', 'Members work on it; acknowledge by the token of a lease.')
      }
      await this.#checkReached(run, position)
      const [before] = await run(checkpointStatement(this.#schema, name))
      await run({
        text: `UPDATE ${this.#tables}.annals_consumer_partitions
          SET checkpoint = $2::bigint, positions = '{}', attempts = '{}', in_flight = 0, token = NULL, member = NULL
          WHERE consumer = $1 AND checkpoint < $2::bigint`,
        values: [name, position],
      })
      const checkpoint = Math.max(Number(before?.[0]), position)
      return { checkpoint, acknowledged: checkpoint - Number(before?.[0]), inFlight: 0, leaseUntil: null, parked: 0 }
    })
  }

  claim(name: string, request: ClaimRequest): Promise<Claim> {
    return this.#leases.claim(name, request)
  }

  async finish(name: string, token: string, position?: number): Promise<Progress> {
    const progress = await this.#leases.finish(name, token, position)
    this.#released(name)
    return progress
  }

  async nack(name: string, request: NackRequest): Promise<Progress> {
    const progress = await this.#leases.nack(name, request)
    this.#released(name)
    return progress
  }

  async listParked(name: string, after: number, limit: number): Promise<ParkedEvent[]> {
    const rows = await query(this.#pool, parkedStatement(this.#schema, name, after, limit))
    if (rows.length === 0) await this.read(name)
    return rows.map(parkedEvent)
  }

  async replayParked(name: string, limit: number): Promise<number> {
    const rows = await inTransaction(this.#pool, (run) => run(replayStatement(this.#schema, name, limit)))
    if (rows.length === 0) await this.read(name)
    this.#released(name)
    return rows.length
  }

  async setPaused(name: string, isPaused: boolean): Promise<ConsumerStanding> {
    await inTransaction(this.#pool, (run) =>
      run({
        text: `UPDATE ${this.#tables}.annals_consumers SET is_paused = $2 WHERE name = $1 AND is_paused <> $2`,
        values: [name, isPaused],
      }),
    )
    this.#released(name)
    return afterChange(() => this.read(name))
  }

  async reset(name: string, position: ConsumerStart): Promise<ConsumerStanding> {
    await inTransaction(this.#pool, async (run) => {
      await this.#lockAll(run, name)
      const checkpoint = await this.#checkReached(run, position)
      await run({
        text: `UPDATE ${this.#tables}.annals_consumer_partitions SET checkpoint = $2::bigint, positions = '{}', attempts = '{}',
            in_flight = 0, reaches = 0, member = NULL, token = NULL, done_token = NULL, free_at = NULL WHERE consumer = $1`,
        values: [name, checkpoint],
      })
      // They come again by themselves.
      await run({
        text: `DELETE FROM ${this.#tables}.annals_consumer_parked WHERE consumer = $1 AND position > $2::bigint`,
        values: [name, checkpoint],
      })
    })
    this.#released(name)
    return afterChange(() => this.read(name))
  }

  onReleased(name: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners.add(listener))
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0 && this.#listeners.get(name) === listeners) this.#listeners.delete(name)
    }
  }

  #released(name: string): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener()
  }

  async #insert(run: Run, name: string, request: ConsumerRequest): Promise<void> {
    const { start = 0, partitions = DEFAULT_PARTITIONS, leaseSeconds, maxAttempts } = request
    const [count] = await run({ text: `SELECT count(*) FROM ${this.#tables}.annals_consumers`, values: [] })
    if (Number(count?.[0]) >= MAX_CONSUMERS) {
      throw new AppError('too_many_consumers', `There are ${MAX_CONSUMERS} consumers, which is the most.`)
    }
    const checkpoint = await this.#checkReached(run, start)
    await run({
      text: `INSERT INTO ${this.#tables}.annals_consumers (name, filter, start, partitions, lease_seconds, max_attempts)
        VALUES ($1, $2::jsonb, $3, $4, $5, $6)`,
      values: [name, JSON.stringify(filterJson(request.filter)), String(start), partitions, leaseSeconds, maxAttempts],
    })
    await run({
      text: `INSERT INTO ${this.#tables}.annals_consumer_partitions (consumer, partition, checkpoint)
        SELECT $1, n, $2::bigint FROM generate_series(0, $3::int - 1) AS n`,
      values: [name, checkpoint, partitions],
    })
  }

  async #update(
    run: Run,
    name: string,
    request: ConsumerRequest,
    known: { start: string; partitions: number },
  ): Promise<void> {
    const asked = { start: String(request.start ?? known.start), partitions: request.partitions ?? known.partitions }
    if (!isDeepStrictEqual(asked, known)) {
      throw new AppError(
        'consumer_differs',
        `The consumer ${name} exists with another start or number of partitions.`,
        {
          members: { start: known.start === 'head' ? 'head' : Number(known.start), partitions: known.partitions },
        },
      )
    }
    await run({
      text: `UPDATE ${this.#tables}.annals_consumers SET filter = $2::jsonb, lease_seconds = $3, max_attempts = $4 WHERE name = $1`,
      values: [name, JSON.stringify(filterJson(request.filter)), request.leaseSeconds, request.maxAttempts],
    })
  }

  async #begin(name: string): Promise<Pick<ConsumerBatch, 'filter' | 'checkpoint'>> {
    const [row] = await query(this.#pool, {
      name: 'annals_consumer_begin',
      text: `SELECT filter, is_paused, (SELECT min(checkpoint) FROM ${this.#tables}.annals_consumer_partitions WHERE consumer = $1)
        FROM ${this.#tables}.annals_consumers WHERE name = $1`,
      values: [name],
    })
    if (row === undefined) throw consumerNotFound(name)
    if (row[1]) throw consumerPaused(name)
    return { filter: filterOf(JSON.parse(row[0] as string) as FilterJson), checkpoint: Number(row[2]) }
  }

  /** Nothing after `from` up to `to` passes the filter. */
  async #passOver(name: string, from: number, to: number): Promise<void> {
    await query(this.#pool, {
      name: 'annals_consumer_pass_over',
      text: `UPDATE ${this.#tables}.annals_consumer_partitions SET checkpoint = $3::bigint
        WHERE consumer = $1 AND checkpoint >= $2::bigint AND checkpoint < $3::bigint AND in_flight = 0`,
      values: [name, from, to],
    })
  }

  async #lockAll(run: Run, name: string): Promise<(string | number | null)[][]> {
    const partitions = await run(lockAllStatement(this.#schema, name))
    if (partitions.length === 0) throw consumerNotFound(name)
    return partitions
  }

  /** The position as a number. @throws AppError `cursor_ahead` */
  async #checkReached(run: Run, position: ConsumerStart): Promise<number> {
    const [row] = await run({ text: `SELECT position FROM ${this.#tables}.annals_head`, values: [] })
    const head = Number(row?.[0])
    if (position === 'head') return head
    if (position > head) throw aheadOfStore(position, head)
    return position
  }
}
