// Reads of short streams. Those that arrive while others are on their way go to the database together in the next
// statement: a round trip of its own costs a read more than its events do (docs/decisions/0013).

import type { PageText } from './event-log.ts'
import type { Statement } from './read-events.ts'
import { eventJson, quoteIdentifier } from './sql.ts'

/** Forwards, in a stream without a filter; the events come with commas after them. */
export interface ShortRead {
  streamId: string
  /** Inclusive. */
  fromVersion: number
  limit: number
}

export interface ShortPage {
  page: PageText
  /** The size of the largest event that the store has. */
  largestEventBytes: number
}

/** Sends {@link shortReadsStatement}; the rows come in row mode `array`, each column as text. */
export type SendShortReads = (statement: Statement) => Promise<(string | null)[][]>

const MAX_BATCH = 64
// A statement that takes longer holds nobody up: what waits goes beside it.
const PATIENCE_MS = 20

interface Waiting {
  read: ShortRead
  resolve(page: ShortPage): void
  reject(error: unknown): void
}

export class ShortReads {
  readonly #send: SendShortReads
  readonly #schema: string
  #queue: Waiting[] = []
  #underWay = 0
  #timer: NodeJS.Timeout | undefined

  constructor(schema: string, send: SendShortReads) {
    this.#schema = schema
    this.#send = send
  }

  /** @throws what the statement failed with that the read was part of */
  read(read: ShortRead): Promise<ShortPage> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ read, resolve, reject })
      if (this.#underWay === 0) this.#pump()
      else this.#timer ??= setTimeout(() => this.#pump(), PATIENCE_MS)
    })
  }

  #pump(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (this.#queue.length > 0) {
      const batch = this.#queue.length <= MAX_BATCH ? this.#queue : this.#queue.slice(0, MAX_BATCH)
      this.#queue = this.#queue.slice(batch.length)
      void this.#deliver(batch)
    }
  }

  // The next batch leaves before this one is answered, so that the database works while the answers are written.
  async #deliver(batch: Waiting[]): Promise<void> {
    this.#underWay++
    try {
      const rows = await this.#send(shortReadsStatement(this.#schema, batch)).finally(() => {
        this.#underWay--
        this.#pump()
      })
      for (const row of rows) {
        const { read, resolve } = batch[Number(row[0]) - 1] as Waiting
        resolve(shortPage(row, read.limit))
      }
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }
}

/**
 * Rows: number of the read from 1, head of its stream, size of the largest event, count of events, version of the last
 * one, their lines. The arrays stand in subqueries so that PostgreSQL does not plan anew for each length of them.
 */
function shortReadsStatement(schema: string, batch: Waiting[]): Statement {
  const tables = quoteIdentifier(schema)
  return {
    name: 'annals_short_reads',
    text: `SELECT r.n, coalesce(h.version, 0), (SELECT largest_event_bytes FROM ${tables}.annals_head), p.*
      FROM (
        SELECT *, to_json(stream_id) AS stream_json
        FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[]), (SELECT $3::int[]))
          WITH ORDINALITY AS r (stream_id, from_version, size, n)
        OFFSET 0
      ) AS r
      LEFT JOIN LATERAL (
        SELECT version FROM ${tables}.events WHERE stream_id = r.stream_id ORDER BY version DESC LIMIT 1
      ) AS h ON true
      CROSS JOIN LATERAL (
        SELECT count(*), max(e.at), string_agg(e.line, ',') FROM (
          SELECT e.version AS at, ${eventJson('r.stream_json')} AS line FROM ${tables}.events AS e
          WHERE e.stream_id = r.stream_id AND e.version >= r.from_version ORDER BY e.version LIMIT r.size
        ) AS e
      ) AS p`,
    values: [
      batch.map(({ read }) => read.streamId),
      batch.map(({ read }) => read.fromVersion),
      batch.map(({ read }) => read.limit),
    ],
  }
}

function shortPage([, head, largestEventBytes, count, last, lines]: (string | null)[], limit: number): ShortPage {
  return {
    page: {
      head: Number(head),
      bytes: Buffer.from(lines === null || lines === undefined ? '' : `${lines},`),
      count: Number(count),
      last: last === null ? undefined : Number(last),
      isFull: Number(count) === limit,
    },
    largestEventBytes: Number(largestEventBytes),
  }
}
