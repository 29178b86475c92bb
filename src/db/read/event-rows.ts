// Pages of events by rows in binary form, and the lines of JSON that are made of them here. A line made by PostgreSQL
// takes it more than three times the work of sending the columns (docs/decisions/0013).

import type { FeedQuery, PageText, StreamQuery } from '../event-log.ts'
import type { RowReceiver } from '../protocol/row-tap.ts'
import { quoteIdentifier } from '../sql.ts'
import type { Statement } from '../statement.ts'
import { BinaryRow, EVENT_COLUMNS, EVENT_FIELDS } from './binary-row.ts'
import { fragment, JsonBytes } from './json-bytes.ts'
import { addFeedBounds, addStreamBounds } from './read-events.ts'

/** What a page is asked for. Planned anew each time: that shows beside a few events only, and those come otherwise. */
export interface RowsPlan extends Statement {
  limit: number
  /** By which number the events are ordered. */
  order: 'position' | 'version'
  /** A page that becomes {@link SPREAD} times as large fails. */
  maxBytes: number
}

/** A page of the feed without a filter; undefined with one. */
export function feedRows(schema: string, query: FeedQuery): RowsPlan | undefined {
  const { types, streamPrefix, since, until, metadata, limit, maxBytes } = query
  if ((types ?? streamPrefix ?? since ?? until ?? metadata) !== undefined) return undefined
  const tables = quoteIdentifier(schema)
  const { conditions, values, add } = collect()
  addFeedBounds(query, add)
  // First a row of the same shape: the head, and the size of the largest event there is. It has no id.
  const head = `SELECT position, largest_event_bytes, NULL::uuid, NULL::text, NULL::text, NULL::bytea, NULL::boolean,
    NULL::text, NULL::jsonb, NULL::timestamptz FROM ${tables}.annals_head`
  const rows = eventRows(tables, 'position', conditions, query)
  return { text: `${head} UNION ALL (${rows})`, values, limit, order: 'position', maxBytes }
}

/** A page of a stream without a filter; without an event it does not tell the head. */
export function streamRows(schema: string, query: StreamQuery): RowsPlan {
  const { limit, maxBytes } = query
  const tables = quoteIdentifier(schema)
  const { conditions, values, add } = collect()
  add('e.stream_id = ?', query.streamId)
  addStreamBounds(query, add)
  // Found once for all rows. `max(version)`, or a row of its own before the others, would take as long to plan as the rest.
  const head = `(SELECT version FROM ${tables}.events WHERE stream_id = $1 ORDER BY version DESC LIMIT 1)`
  return {
    text: eventRows(tables, 'version', conditions, query, `, ${head}`),
    values,
    limit,
    order: 'version',
    maxBytes,
  }
}

/** Conditions, with their values as parameters in the form of text. */
function collect() {
  const conditions: string[] = []
  const values: string[] = []
  const add = (condition: string, value: unknown): void => {
    conditions.push(condition.replace('?', `$${values.push(String(value))}`))
  }
  return { conditions, values, add }
}

function eventRows(
  tables: string,
  order: RowsPlan['order'],
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

/** Takes the rows of one {@link RowsPlan} and makes the page of them. */
export class EventRows implements RowReceiver {
  readonly #plan: RowsPlan
  readonly #row = new BinaryRow()
  readonly #lines: JsonBytes
  readonly #separator: Uint8Array
  #head = 0
  #largestEventBytes: number | undefined
  #count = 0
  #last: number | undefined

  /** `separator` is one byte, written after each event. */
  constructor(plan: RowsPlan, separator: string, expectedBytes: number) {
    this.#plan = plan
    this.#lines = new JsonBytes(expectedBytes, plan.maxBytes * SPREAD)
    this.#separator = fragment(separator)
  }

  row(data: Buffer, start: number): void {
    const row = this.#row
    row.find(data, start)
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

  /** The page, when all rows have come; without a row of the head, the head is 0 and the size unknown. */
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
}
