// Reads of a stream, of the feed and of single events, as lines of JSON made by the database.

import type { Direction, EventLine, FeedPage, FeedQuery, StreamPage, StreamQuery } from './event-log.ts'
import { EVENT_JSON, quoteIdentifier, rfc3339 } from './sql.ts'

/** A statement in pg's form; `name` is there when its text has few variants, so that it can be prepared. */
export interface Statement {
  name?: string
  text: string
  values: unknown[]
}

/** A row in row mode `array`. */
export type Row = (string | number | null)[]

/** One row at least: the stream's version or null, the event's version or null, its line or null. */
export function streamStatement(schema: string, query: StreamQuery): Statement {
  const events = `${quoteIdentifier(schema)}.events`
  const isForward = query.direction === 'forward'
  const values: unknown[] = [query.streamId, query.limit, query.maxBytes]
  const conditions = ['e.stream_id = $1']
  const add = (condition: string, value: unknown) => conditions.push(condition.replace('?', `$${values.push(value)}`))
  if (query.fromVersion !== undefined) add(`e.version ${isForward ? '>=' : '<='} ?`, query.fromVersion)
  if (query.toVersion !== undefined) add('e.version <= ?', query.toVersion)
  if (query.types !== undefined) add('e.event_type = ANY(?::text[])', query.types)
  // One statement, so the head is of the same snapshot as the events.
  const text = `SELECT h.version, p.at, p.line
    FROM (SELECT max(version) AS version FROM ${events} WHERE stream_id = $1) AS h
    LEFT JOIN LATERAL (${page(events, 'e.version', conditions, query.direction, '$2', '$3')}) AS p ON true`
  const shape = `${isForward ? 'f' : 'b'}${query.fromVersion === undefined ? '' : 'v'}${query.toVersion === undefined ? '' : 't'}`
  return query.types === undefined ? { name: `annals_stream_${shape}`, text, values } : { text, values }
}

export function streamPage(rows: Row[], limit: number): StreamPage {
  return { version: Number(rows[0]?.[0] ?? 0), ...lines(rows, limit) }
}

/** One row at least: the head, the event's position or null, its line or null. */
export function feedStatement(schema: string, query: FeedQuery): Statement {
  const tables = quoteIdentifier(schema)
  const values: unknown[] = [query.limit, query.maxBytes]
  const conditions: string[] = []
  const add = (condition: string, value: unknown) => conditions.push(condition.replace('?', `$${values.push(value)}`))
  if (query.after !== undefined) add('e.position > ?', query.after)
  if (query.before !== undefined) add('e.position < ?', query.before)
  if (query.upTo !== undefined) add('e.position <= ?', query.upTo)
  const bounds = values.length
  if (query.types !== undefined) add('e.event_type = ANY(?::text[])', query.types)
  if (query.streamPrefix !== undefined) add('starts_with(e.stream_id, ?)', query.streamPrefix)
  if (query.since !== undefined) add('e.created_at >= ?::timestamptz', query.since)
  if (query.until !== undefined) add('e.created_at < ?::timestamptz', query.until)
  if (query.metadata !== undefined) add('e.metadata @> ?::jsonb', JSON.stringify(query.metadata))
  const isFiltered = values.length > bounds
  const text = `SELECT h.position, p.at, p.line
    FROM ${tables}.annals_head AS h
    LEFT JOIN LATERAL (${page(`${tables}.events`, 'e.position', conditions, query.direction, '$1', '$2')}) AS p ON true`
  const shape = `${query.after === undefined ? '' : 'a'}${query.before === undefined ? '' : 'b'}${query.upTo === undefined ? '' : 't'}`
  return isFiltered ? { text, values } : { name: `annals_feed_${query.direction}_${shape}`, text, values }
}

export function feedPage(rows: Row[], limit: number): FeedPage {
  return { head: Number(rows[0]?.[0] ?? 0), ...lines(rows, limit) }
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
