// Pages of events by PostgreSQL's binary COPY, and the lines of JSON that are made of its rows here. A line made by
// PostgreSQL takes it more than three times the work of sending the columns (docs/decisions/0013).

import pg from 'pg'
import type { FeedQuery, PageText, StreamQuery } from './event-log.ts'
import { fragment, JsonBytes } from './json-bytes.ts'
import { quoteIdentifier } from './sql.ts'

/** What a page is asked for. */
export interface CopyPlan {
  text: string
  limit: number
  /** By which number the events are ordered. */
  order: 'position' | 'version'
}

const COLUMNS = `e.position, e.version, e.event_id, e.stream_id, e.event_type, e.event_data, e.is_json, e.content_type,
  e.metadata, e.created_at`

/** A page of the feed without a filter: COPY takes no parameters, so its values are written into the text. */
export function copyFeed(schema: string, query: FeedQuery): CopyPlan | undefined {
  const { types, streamPrefix, since, until, metadata, after, before, upTo, limit } = query
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
  return { text: `COPY (${head} UNION ALL (${rows})) ${TO_BINARY}`, limit, order: 'position' }
}

/** A page of a stream without a filter; without an event it does not tell the head. */
export function copyStream(schema: string, query: StreamQuery): CopyPlan {
  const { streamId, fromVersion, toVersion, direction, limit } = query
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
  return { text: `COPY (${rows}) ${TO_BINARY}`, limit, order: 'version' }
}

function eventRows(
  tables: string,
  order: CopyPlan['order'],
  conditions: string[],
  { direction, limit }: Pick<FeedQuery, 'direction' | 'limit'>,
  more = '',
): string {
  const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''
  return `SELECT ${COLUMNS}${more} FROM ${tables}.events AS e ${where}
    ORDER BY e.${order} ${direction === 'forward' ? 'ASC' : 'DESC'} LIMIT ${limit}`
}

const TO_BINARY = 'TO STDOUT (FORMAT binary)'

/** Eleven bytes of signature, flags, and the length of an extension that is not used. */
const HEADER_BYTES = 19
const NULL_LENGTH = -1
/** Columns of an event, and the head of its stream after them. */
const FIELDS = 11

const POSITION = fragment('{"position":')
const STREAM_ID = fragment(',"stream_id":')
const VERSION = fragment(',"version":')
const ID = fragment(',"id":"')
const TYPE = fragment('","type":')
const DATA = fragment(',"data":')
const DATA_BASE64 = fragment(',"data_base64":"')
const CONTENT_TYPE = fragment(',"content_type":')
const JSON_TYPE = fragment('"application/json"')
const BYTES_TYPE = fragment('"application/octet-stream"')
const METADATA = fragment(',"metadata":')
const NULL = fragment('null')
const CREATED_AT = fragment(',"created_at":"')
const END = fragment('"}')
const QUOTE = fragment('"')

/** Takes the data of one COPY and makes the page of it; {@link take} is to be called with each message. */
export class EventRows {
  readonly #plan: CopyPlan
  readonly #lines: JsonBytes
  readonly #separator: Uint8Array
  #isBegun = false
  #head = 0
  #largestEventBytes: number | undefined
  #count = 0
  #last: number | undefined
  /** Where the fields of the row in hand begin and end; -1 for NULL. */
  readonly #starts = new Int32Array(FIELDS)
  readonly #ends = new Int32Array(FIELDS)

  /** `separator` is one byte, written after each event. */
  constructor(plan: CopyPlan, separator: string, expectedBytes: number) {
    this.#plan = plan
    this.#lines = new JsonBytes(expectedBytes)
    this.#separator = fragment(separator)
  }

  take(data: Buffer): void {
    let pos = this.#isBegun ? 0 : HEADER_BYTES
    this.#isBegun = true
    while (pos < data.length) {
      const fields = data.readInt16BE(pos)
      pos += 2
      // The trailer.
      if (fields === NULL_LENGTH) return
      for (let i = 0; i < fields; i++) {
        const length = data.readInt32BE(pos)
        pos += 4
        this.#starts[i] = length === NULL_LENGTH ? NULL_LENGTH : pos
        if (length > 0) pos += length
        this.#ends[i] = pos
      }
      if (this.#isNull(2)) this.#readHead(data)
      else this.#writeEvent(data)
    }
  }

  /** The page, when all data has come; without a row of the head, the head is 0 and the size unknown. */
  page(): PageText & { largestEventBytes: number | undefined } {
    return {
      head: this.#head,
      bytes: this.#lines.bytes(),
      count: this.#count,
      last: this.#last,
      isFull: this.#count === this.#plan.limit,
      largestEventBytes: this.#largestEventBytes,
    }
  }

  #readHead(data: Buffer): void {
    this.#head = this.#number(data, 0)
    this.#largestEventBytes = this.#number(data, 1)
  }

  #writeEvent(data: Buffer): void {
    const lines = this.#lines
    const position = this.#number(data, 0)
    const version = this.#number(data, 1)
    lines.fragment(POSITION)
    lines.integer(position)
    lines.fragment(STREAM_ID)
    this.#string(data, 3)
    lines.fragment(VERSION)
    lines.integer(version)
    lines.fragment(ID)
    lines.uuid(data, this.#starts[2] as number)
    lines.fragment(TYPE)
    this.#string(data, 4)
    const isJson = data[this.#starts[6] as number] === 1
    if (isJson) {
      lines.fragment(DATA)
      lines.copy(data, this.#starts[5] as number, this.#ends[5] as number)
    } else {
      lines.fragment(DATA_BASE64)
      lines.base64(data, this.#starts[5] as number, this.#ends[5] as number)
      lines.fragment(QUOTE)
    }
    lines.fragment(CONTENT_TYPE)
    if (this.#isNull(7)) lines.fragment(isJson ? JSON_TYPE : BYTES_TYPE)
    else this.#string(data, 7)
    lines.fragment(METADATA)
    if (this.#isNull(8)) lines.fragment(NULL)
    // The first byte is the version of the format.
    else lines.copy(data, (this.#starts[8] as number) + 1, this.#ends[8] as number)
    lines.fragment(CREATED_AT)
    lines.time(this.#number(data, 9))
    lines.fragment(END)
    lines.fragment(this.#separator)
    if (this.#plan.order === 'version') this.#head = this.#number(data, 10)
    this.#count++
    this.#last = this.#plan.order === 'position' ? position : version
  }

  #isNull(field: number): boolean {
    return this.#starts[field] === NULL_LENGTH
  }

  #number(data: Buffer, field: number): number {
    const start = this.#starts[field] as number
    return data.readInt32BE(start) * 0x1_0000_0000 + data.readUInt32BE(start + 4)
  }

  #string(data: Buffer, field: number): void {
    this.#lines.string(data, this.#starts[field] as number, this.#ends[field] as number)
  }
}
