// Pages of several streams by one prepared statement, whose rows come in binary form.

import type { PageText, StreamQuery } from '../event-log.ts'
import type { RowReceiver } from '../protocol/row-tap.ts'
import { quoteIdentifier } from '../sql.ts'
import type { Statement } from '../statement.ts'
import { BinaryRow, EVENT_COLUMNS, EVENT_FIELDS } from './binary-row.ts'
import { fragment, type JsonBytes } from './json-bytes.ts'

const NUMBER = EVENT_FIELDS
const HEAD = EVENT_FIELDS + 1
const LARGEST = EVENT_FIELDS + 2
const COMMA = fragment(',')

/**
 * Pages of streams without a filter, forwards. Rows: an event, number of the read from 1, head of its stream (NULL when
 * there is none), size of the largest event. A read without an event has one row too. They come in the order of the reads,
 * because each is looked up in turn. The arrays stand in subqueries so that PostgreSQL does not plan anew for each
 * length of them.
 */
export function streamsStatement(schema: string, reads: StreamQuery[]): Statement {
  const tables = quoteIdentifier(schema)
  return {
    name: 'annals_streams',
    text: `SELECT ${EVENT_COLUMNS}, r.n, h.version, (SELECT largest_event_bytes FROM ${tables}.annals_head)
      FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[]), (SELECT $3::int[]))
        WITH ORDINALITY AS r (stream_id, from_version, size, n)
      LEFT JOIN LATERAL (
        SELECT version FROM ${tables}.events WHERE stream_id = r.stream_id ORDER BY version DESC LIMIT 1
      ) AS h ON true
      LEFT JOIN LATERAL (
        SELECT * FROM ${tables}.events WHERE stream_id = r.stream_id AND version >= r.from_version
        ORDER BY version LIMIT r.size
      ) AS e ON true`,
    values: [
      arrayText(reads.map(({ streamId }) => `"${streamId.replaceAll(/["\\]/g, '\\$&')}"`)),
      arrayText(reads.map(({ fromVersion = 1 }) => fromVersion)),
      arrayText(reads.map(({ limit }) => limit)),
    ],
  }
}

const arrayText = (elements: (string | number)[]): string => `{${elements.join(',')}}`

/** Takes the rows of one {@link streamsStatement} and makes the pages of them. */
export class StreamsRows implements RowReceiver {
  readonly #reads: StreamQuery[]
  readonly #row = new BinaryRow()
  /** Where each page is made; empty when all rows have come. */
  readonly buffer: JsonBytes
  readonly #pages: PageText[]
  #current = 1
  #largestEventBytes = 0

  constructor(reads: StreamQuery[], buffer: JsonBytes) {
    this.#reads = reads
    this.buffer = buffer
    this.#pages = reads.map(() => ({ head: 0, json: '', count: 0, last: undefined, isFull: false }))
  }

  row(data: Buffer, start: number): void {
    const row = this.#row
    row.find(data, start)
    const number = row.number(NUMBER)
    const page = this.#pages[number - 1]
    // Its events would stand among those of another one.
    if (page === undefined || number < this.#current) throw new Error('the rows are not in the order of the reads')
    if (number > this.#current) this.#next(number)
    if (!row.isNull(HEAD)) page.head = row.number(HEAD)
    this.#largestEventBytes = row.number(LARGEST)
    if (!row.isEvent) return
    row.writeEvent(this.buffer)
    this.buffer.fragment(COMMA)
    page.count++
    page.last = row.version
    page.isFull = page.count === this.#reads[number - 1]?.limit
  }

  /** In the order of the reads; to be called once, when all rows have come. */
  pages(): PageText[] {
    this.#next(this.#pages.length)
    return this.#pages
  }

  /** Of the store; known when all rows have come. */
  get largestEventBytes(): number {
    return this.#largestEventBytes
  }

  #next(number: number): void {
    const page = this.#pages[this.#current - 1]
    if (page !== undefined) page.json = this.buffer.take()
    this.#current = number
  }
}
