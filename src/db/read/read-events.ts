// Reads of a stream, of the feed and of single events, as lines of JSON made by the database.

import type { Direction, EventLine, FeedQuery, PageText, Separator, StreamQuery } from '../event-log.ts'
import { EVENT_JSON, quoteIdentifier, rfc3339 } from '../sql.ts'
import type { Row, Statement } from '../statement.ts'
import { type AddCondition, addFilter } from './feed-filter.ts'

/** What a page is asked for, and how much of it one statement can safely give. */
export interface PagePlan extends Statement {
  limit: number
  /** Its events are measured one by one. */
  isMeasured: boolean
  /** The part of the statement that gives number and line of each event. */
  rows: string
}

// What an event has beside its data and metadata: its numbers, names and punctuation.
const ENVELOPE_BYTES = 400
// A page that had to be shorter than this is measured event by event instead.
const MIN_SHORT_PAGE = 100

interface Size {
  limit: number
  /** Every event has to be measured, because not every page of this length would be small enough. */
  isMeasured: boolean
}

/**
 * How many events a statement may ask for, and whether it has to measure them: that costs a third of a page's time, and is
 * needed only where large ones are about. Undefined bytes are not known yet.
 */
export function sizeOf({ limit, maxBytes, mayBeShort = false }: PageSize, largestEventBytes: number | undefined): Size {
  if (largestEventBytes === undefined) return { limit, isMeasured: true }
  const fitting = Math.floor(maxBytes / (largestEventBytes + ENVELOPE_BYTES))
  if (limit <= fitting) return { limit, isMeasured: false }
  return mayBeShort && fitting >= MIN_SHORT_PAGE ? { limit: fitting, isMeasured: false } : { limit, isMeasured: true }
}

// With the limit as a parameter PostgreSQL plans every execution anew, which takes longer than reading twenty events. So
// it stands in the text, and only usual ones are prepared: each prepared text costs every connection memory.
const PREPARED_LIMITS = new Set([1, 10, 16, 100, 500, 1_000, 1_500])

type PageSize = Pick<FeedQuery, 'limit' | 'maxBytes' | 'mayBeShort'>

/** The versions that are asked for as conditions on a row of `events` named `e`; `?` stands for the value. */
export function addStreamBounds({ direction, fromVersion, toVersion }: StreamQuery, add: AddCondition): void {
  if (fromVersion !== undefined) add(`e.version ${direction === 'forward' ? '>=' : '<='} ?`, fromVersion)
  if (toVersion !== undefined) add('e.version <= ?', toVersion)
}

/** The positions that are asked for, as {@link addStreamBounds}. */
export function addFeedBounds({ after, before, upTo }: FeedQuery, add: AddCondition): void {
  if (after !== undefined) add('e.position > ?', after)
  if (before !== undefined) add('e.position < ?', before)
  if (upTo !== undefined) add('e.position <= ?', upTo)
}

/** A page of one stream. `largestEventBytes` is what the last page said, if there was one. */
export function streamStatement(schema: string, query: StreamQuery, largestEventBytes?: number): PagePlan {
  const tables = quoteIdentifier(schema)
  const { limit, isMeasured } = sizeOf(query, largestEventBytes)
  const values: unknown[] = [query.streamId, ...(isMeasured ? [query.maxBytes] : [])]
  const conditions = ['e.stream_id = $1']
  const add = (condition: string, value: unknown) => conditions.push(condition.replace('?', `$${values.push(value)}`))
  addStreamBounds(query, add)
  if (query.types !== undefined) add('e.event_type = ANY(?::text[])', query.types)
  const head = `coalesce((SELECT max(version) FROM ${tables}.events WHERE stream_id = $1), 0)`
  const rows = rowsOf(tables, isMeasured, 'e.version', conditions, query.direction, [`${limit}`, '$2'])
  const bounds = `${query.fromVersion === undefined ? '' : 'v'}${query.toVersion === undefined ? '' : 't'}`
  const isPrepared = query.types === undefined && PREPARED_LIMITS.has(limit)
  const name = `annals_stream_${query.direction}_${bounds}${isMeasured ? 'm' : ''}${limit}`
  return { ...plan(tables, head, rows), limit, isMeasured, values, ...(isPrepared && { name }) }
}

/** A page of the feed. `largestEventBytes` is what the last page said, if there was one. */
export function feedStatement(schema: string, query: FeedQuery, largestEventBytes?: number): PagePlan {
  const tables = quoteIdentifier(schema)
  const { limit, isMeasured } = sizeOf(query, largestEventBytes)
  const values: unknown[] = isMeasured ? [query.maxBytes] : []
  const conditions: string[] = []
  const add = (condition: string, value: unknown) => conditions.push(condition.replace('?', `$${values.push(value)}`))
  addFeedBounds(query, add)
  const bounds = values.length
  addFilter(query, add)
  const isPrepared = values.length === bounds && PREPARED_LIMITS.has(limit)
  const rows = rowsOf(tables, isMeasured, 'e.position', conditions, query.direction, [`${limit}`, '$1'])
  const shape = `${query.after === undefined ? '' : 'a'}${query.before === undefined ? '' : 'b'}${query.upTo === undefined ? '' : 't'}`
  const name = `annals_feed_${query.direction}_${shape}${isMeasured ? 'm' : ''}${limit}`
  return { ...plan(tables, 'position', rows), limit, isMeasured, values, ...(isPrepared && { name }) }
}

/**
 * Rows of two columns: one with the head and the size of the largest event, then number and line of each event. One
 * statement, so the head is of the same snapshot as the events.
 */
const plan = (tables: string, head: string, rows: string): { text: string; rows: string } => ({
  text: `SELECT ${head} AS at, largest_event_bytes::text AS line FROM ${tables}.annals_head UNION ALL (${rows})`,
  rows,
})

function rowsOf(
  tables: string,
  isMeasured: boolean,
  order: string,
  conditions: string[],
  direction: Direction,
  [limit, maxBytes]: [string, string],
): string {
  const events = `${tables}.events`
  if (isMeasured) return page(events, order, conditions, direction, limit, maxBytes)
  return `SELECT ${order}, ${EVENT_JSON} FROM ${events} AS e ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}
    ORDER BY ${order} ${direction === 'forward' ? 'ASC' : 'DESC'} LIMIT ${limit}`
}

/** A page as text. */
export function pageText(events: EventLine[], head: number, isFull: boolean, separator: Separator): PageText {
  return {
    head,
    json: Buffer.from(events.map(({ json }) => json + separator).join('')),
    count: events.length,
    last: events.at(-1)?.at,
    isFull,
  }
}

/** What a page statement gave. */
export interface ReadPage {
  /** Of the stream, or of the store. */
  head: number
  largestEventBytes: number
  events: EventLine[]
  isFull: boolean
}

const OPEN_BRACE = 0x7b

/** Rows of {@link streamStatement} and {@link feedStatement}. */
export function readPage(rows: Row[], limit: number): ReadPage {
  const result: ReadPage = { head: 0, largestEventBytes: 0, events: [], isFull: false }
  for (const [at, line] of rows as [number, string | null][]) {
    if (line === null) continue
    if (line.charCodeAt(0) === OPEN_BRACE) {
      result.events.push({ at, json: line })
    } else {
      result.head = at
      result.largestEventBytes = Number(line)
    }
  }
  const found = rows.length - 1
  result.isFull = found === limit || result.events.length < found
  return result
}

/** A page of a stream's events, as part of a statement: rows of version and line, the line null beyond the size. */
export const streamEvents = (
  schema: string,
  conditions: string[],
  direction: Direction,
  limit: string,
  maxBytes: string,
): string => page(`${quoteIdentifier(schema)}.events`, 'e.version', conditions, direction, limit, maxBytes)

/** Rows: the ordering number and the line; a row beyond the page's size has no line, and says that more follows. */
function page(
  events: string,
  order: string,
  conditions: string[],
  direction: Direction,
  limit: string,
  maxBytes: string,
): string {
  const by = `${order} ${direction === 'forward' ? 'ASC' : 'DESC'}`
  const size = `octet_length(e.event_data) + coalesce(pg_column_size(e.metadata), 0)`
  return `SELECT ${order} AS at, CASE WHEN e.bytes_before < ${maxBytes}::bigint THEN ${EVENT_JSON} END AS line
    FROM (
      SELECT e.*, sum(${size}) OVER (ORDER BY ${by} ROWS UNBOUNDED PRECEDING) - (${size}) AS bytes_before
      FROM ${events} AS e ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}
      ORDER BY ${by} LIMIT ${limit}
    ) AS e ORDER BY ${by}`
}

/** The events among rows whose second and third columns are those of a page. */
export function lines(rows: Row[], limit: number): { events: EventLine[]; isFull: boolean } {
  const events: EventLine[] = []
  for (const row of rows) {
    if (row[2] !== null) events.push({ at: Number(row[1]), json: row[2] as string })
  }
  const found = rows.length === 1 && rows[0]?.[1] === null ? 0 : rows.length
  return { events, isFull: found === limit || events.length < found }
}

/** Rows: [line]. */
export const eventStatement = (schema: string, eventId: string): Statement => ({
  name: 'annals_event',
  text: `SELECT ${EVENT_JSON} FROM ${quoteIdentifier(schema)}.events AS e WHERE e.event_id = $1::uuid`,
  values: [eventId],
})

/** Rows of what is stored under these ids, for comparing with a retry. */
export const storedEventsStatement = (schema: string, eventIds: string[]): Statement => ({
  text: `SELECT position, stream_id, version, event_id, event_type, event_data, is_json, content_type,
      metadata::text AS metadata, ${rfc3339('created_at')} AS created_at
    FROM ${quoteIdentifier(schema)}.events WHERE event_id = ANY($1::uuid[])`,
  values: [eventIds],
})
