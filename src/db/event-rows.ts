// Pages of events by PostgreSQL's binary COPY, and the lines of JSON that are made of its rows here. A line made by
// PostgreSQL takes it more than three times the work of sending the columns (docs/decisions/0013).

import pg from 'pg'
import { BinaryRow, EVENT_COLUMNS, EVENT_FIELDS, TO_BINARY } from './binary-row.ts'
import type { FeedQuery, PageText, StreamQuery } from './event-log.ts'
import { fragment, JsonBytes } from './json-bytes.ts'
import { quoteIdentifier } from './sql.ts'

/** What a page is asked for. */
export interface CopyPlan {
  text: string
  limit: number
  /** By which number the events are ordered. */
  order: 'position' | 'version'
  /** A page that becomes {@link SPREAD} times as large fails. */
  maxBytes: number
}

/** A page of the feed without a filter: COPY takes no parameters, so its values are written into the text. */
export function copyFeed(schema: string, query: FeedQuery): CopyPlan | undefined {
  const { types, streamPrefix, since, until, metadata, after, before, upTo, limit, maxBytes } = query
  if ((types ?? streamPrefix ?? since ?? until ?? metadata) !== undefined) return undefined
  const tables = quoteIdentifier(schema)
  const conditions = [
    ...(after === undefined ? [] : [`e.position > ${after}`]),
    ...(before === undefined ? [] : [`e.position < ${before}`]),
    ...(upTo === undefined ? [] : [`e.position <= ${upTo}`]),
  ]
  // First a row of the same shape: the head, and the size of the largest event there is. It has no id.
  const head = `SELECT position, largest_event_bytes, NULL::uuid, NULL::text, NULL::text, NULL::bytea, NULL::boolean,
    NULL::text, NULL::jsonb, NULL::timestamptz FROM ${tables}.annals_head`
  const rows = eventRows(tables, 'position', conditions, query)
  return { text: `COPY (${head} UNION ALL (${rows})) ${TO_BINARY}`, limit, order: 'position', maxBytes }
}

/** A page of a stream without a filter; without an event it does not tell the head. */
export function copyStream(schema: string, query: StreamQuery): CopyPlan {
  const { streamId, fromVersion, toVersion, direction, limit, maxBytes } = query
  const tables = quoteIdentifier(schema)
  const stream = pg.escapeLiteral(streamId)
  const conditions = [
    `e.stream_id = ${stream}`,
    ...(fromVersion === undefined ? [] : [`e.version ${direction === 'forward' ? '>=' : '<='} ${fromVersion}`]),
    ...(toVersion === undefined ? [] : [`e.version <= ${toVersion}`]),
  ]
  // Found once for all rows. `max(version)`, or a row of its own before the others, would take as long to plan as the rest.
  const head = `(SELECT version FROM ${tables}.events WHERE stream_id = ${stream} ORDER BY version DESC LIMIT 1)`
  const rows = eventRows(tables, 'version', conditions, query, `, ${head}`)
  return { text: `COPY (${rows}) ${TO_BINARY}`, limit, order: 'version', maxBytes }
}

function eventRows(
  tables: string,
  order: CopyPlan['order'],
  conditions: string[],
  { direction, limit }: Pick<FeedQuery, 'direction' | 'limit'>,
  more = '',
): string {
  const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''
  return `SELECT ${EVENT_COLUMNS}${more} FROM ${tables}.events AS e ${where}
    ORDER BY e.${order} ${direction === 'forward' ? 'ASC' : 'DESC'} LIMIT ${limit}`
}

/** A page that is so many times larger than it may be can't be due to base64 and long names: there are larger events. */
export const SPREAD = 2

/** Takes the data of one COPY and makes the page of it; {@link take} is to be called with each message. */
export class EventRows {
  readonly #plan: CopyPlan
  readonly #row = new BinaryRow()
  readonly #lines: JsonBytes
  readonly #separator: Uint8Array
  #head = 0
  #largestEventBytes: number | undefined
  #count = 0
  #last: number | undefined

  /** `separator` is one byte, written after each event. */
  constructor(plan: CopyPlan, separator: string, expectedBytes: number) {
    this.#plan = plan
    this.#lines = new JsonBytes(expectedBytes, plan.maxBytes * SPREAD)
    this.#separator = fragment(separator)
  }

  take(data: Buffer): void {
    this.#row.each(data, this.#found)
  }

  /** The page, when all data has come; without a row of the head, the head is 0 and the size unknown. */
  page(): PageText & { largestEventBytes: number | undefined } {
    return {
      head: this.#head,
      json: this.#lines.bytes(),
      count: this.#count,
      last: this.#last,
      isFull: this.#count === this.#plan.limit,
      largestEventBytes: this.#largestEventBytes,
    }
  }

  readonly #found = (): void => {
    const row = this.#row
    if (!row.isEvent) {
      this.#head = row.number(0)
      this.#largestEventBytes = row.number(1)
      return
    }
    row.writeEvent(this.#lines)
    this.#lines.fragment(this.#separator)
    const isOfStream = this.#plan.order === 'version'
    if (isOfStream) this.#head = row.number(EVENT_FIELDS)
    this.#count++
    this.#last = isOfStream ? row.version : row.position
  }
}
