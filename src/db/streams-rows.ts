// Pages of several streams by one binary COPY: planning one takes as long as the rows of dozens of events.

import pg from 'pg'
import { CopyRow, EVENT_COLUMNS, EVENT_FIELDS, TO_BINARY } from './copy-row.ts'
import type { PageText, StreamQuery } from './event-log.ts'
import { fragment, JsonBytes } from './json-bytes.ts'
import { quoteIdentifier } from './sql.ts'

const NUMBER = EVENT_FIELDS
const HEAD = EVENT_FIELDS + 1
const LARGEST = EVENT_FIELDS + 2
const COMMA = fragment(',')

/**
 * Pages of streams without a filter, forwards. Rows: an event, number of the read from 0, head of its stream (NULL when there is none), size of the largest event.
 * A read without an event has one row too. They come in the order of the reads, because each is looked up in turn.
 */
export function copyStreams(schema: string, reads: StreamQuery[]): string {
  const tables = quoteIdentifier(schema)
  const list = reads.map(
    ({ streamId, fromVersion = 1, limit }, n) =>
      `(${n}::bigint, ${pg.escapeLiteral(streamId)}, ${fromVersion}::bigint, ${limit})`,
  )
  return `COPY (SELECT ${EVENT_COLUMNS}, r.n, h.version, (SELECT largest_event_bytes FROM ${tables}.annals_head)
    FROM (VALUES ${list.join(', ')}) AS r (n, stream_id, from_version, size)
    LEFT JOIN LATERAL (
      SELECT version FROM ${tables}.events WHERE stream_id = r.stream_id ORDER BY version DESC LIMIT 1
    ) AS h ON true
    LEFT JOIN LATERAL (
      SELECT * FROM ${tables}.events WHERE stream_id = r.stream_id AND version >= r.from_version ORDER BY version LIMIT r.size
    ) AS e ON true) ${TO_BINARY}`
}

/** Takes the data of one {@link copyStreams} and makes the pages of it. */
export class StreamsRows {
  readonly #row = new CopyRow()
  readonly #lines: JsonBytes
  readonly #pages: { head: number; start: number; end: number; count: number; last: number | undefined }[]
  #largestEventBytes = 0
  #current = 0

  constructor(reads: number, expectedBytes: number) {
    this.#lines = new JsonBytes(expectedBytes)
    this.#pages = Array.from({ length: reads }, () => ({ head: 0, start: 0, end: 0, count: 0, last: undefined }))
  }

  take(data: Buffer): void {
    this.#row.each(data, this.#found)
  }

  /** In the order of the reads, when all data has come. */
  pages(reads: StreamQuery[]): PageText[] {
    const bytes = this.#lines.bytes()
    return this.#pages.map(({ start, end, ...page }, n) => ({
      ...page,
      bytes: bytes.subarray(start, end),
      isFull: page.count === reads[n]?.limit,
    }))
  }

  /** Of the store; known when all data has come. */
  get largestEventBytes(): number {
    return this.#largestEventBytes
  }

  readonly #found = (): void => {
    const row = this.#row
    const number = row.number(NUMBER)
    const page = this.#pages[number]
    // Its events would stand among those of another one.
    if (page === undefined || number < this.#current) throw new Error('the rows are not in the order of the reads')
    this.#current = number
    if (!row.isNull(HEAD)) page.head = row.number(HEAD)
    this.#largestEventBytes = row.number(LARGEST)
    if (!row.isEvent) return
    if (page.count === 0) page.start = this.#lines.length
    row.writeEvent(this.#lines)
    this.#lines.fragment(COMMA)
    page.end = this.#lines.length
    page.count++
    page.last = row.version
  }
}
