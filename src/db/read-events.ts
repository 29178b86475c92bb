// Reads of a stream, of the feed and of single events, as lines of JSON made by the database.

import type { FeedPage, FeedQuery, StreamPage, StreamQuery } from './event-store.ts'
import { EVENT_JSON, quoteIdentifier, rfc3339 } from './sql.ts'

/** A statement in pg's form; `name` is there when its text has few variants, so that it can be prepared. */
export interface Statement {
  name?: string
  text: string
  values: unknown[]
}

type Row = (string | number | null)[]

/** One row at least: [version of the stream or null, version of the event or null, line or null]. */
export function streamStatement(schema: string, query: StreamQuery): Statement {
  const events = `${quoteIdentifier(schema)}.events`
  const isForward = query.direction === 'forward'
  const values: unknown[] = [query.streamId, query.limit]
  const conditions = ['e.stream_id = $1']
  const add = (condition: string, value: unknown) => conditions.push(condition.replace('?', `$${values.push(value)}`))
  if (query.fromVersion !== undefined) add(`e.version ${isForward ? '>=' : '<='} ?`, query.fromVersion)
  if (query.toVersion !== undefined) add('e.version <= ?', query.toVersion)
  if (query.types !== undefined) add('e.event_type = ANY(?::text[])', query.types)
  // One statement, so the head is of the same snapshot as the events.
  const text = `SELECT h.version, p.version, p.line
    FROM (SELECT max(version) AS version FROM ${events} WHERE stream_id = $1) AS h
    LEFT JOIN LATERAL (
      SELECT e.version, ${EVENT_JSON} AS line FROM ${events} AS e
      WHERE ${conditions.join(' AND ')}
      ORDER BY e.version ${isForward ? 'ASC' : 'DESC'} LIMIT $2
    ) AS p ON true`
  const shape = `${isForward ? 'f' : 'b'}${query.fromVersion === undefined ? '' : 'v'}${query.toVersion === undefined ? '' : 't'}`
  return query.types === undefined ? { name: `annals_stream_${shape}`, text, values } : { text, values }
}

export function streamPage(rows: Row[]): StreamPage {
  return { version: Number(rows[0]?.[0] ?? 0), events: lines(rows) }
}

/** One row at least: [head, position of the event or null, line or null]. */
export function feedStatement(schema: string, query: FeedQuery): Statement {
  const tables = quoteIdentifier(schema)
  const isForward = query.direction === 'forward'
  const values: unknown[] = [query.limit]
  const conditions: string[] = []
  const add = (condition: string, value: unknown) => conditions.push(condition.replace('?', `$${values.push(value)}`))
  if (query.after !== undefined) add('e.position > ?', query.after)
  if (query.before !== undefined) add('e.position < ?', query.before)
  if (query.upTo !== undefined) add('e.position <= ?', query.upTo)
  const isPlain = values.length <= 2
  if (query.types !== undefined) add('e.event_type = ANY(?::text[])', query.types)
  if (query.streamPrefix !== undefined) add('starts_with(e.stream_id, ?)', query.streamPrefix)
  if (query.since !== undefined) add('e.created_at >= ?::timestamptz', query.since)
  if (query.until !== undefined) add('e.created_at < ?::timestamptz', query.until)
  if (query.metadata !== undefined) add('e.metadata @> ?::jsonb', JSON.stringify(query.metadata))
  const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''
  const text = `SELECT h.position, p.position, p.line
    FROM ${tables}.annals_head AS h
    LEFT JOIN LATERAL (
      SELECT e.position, ${EVENT_JSON} AS line FROM ${tables}.events AS e
      ${where} ORDER BY e.position ${isForward ? 'ASC' : 'DESC'} LIMIT $1
    ) AS p ON true`
  const shape = query.after === undefined ? (query.before === undefined ? 'all' : 'before') : 'after'
  return isPlain && values.length <= 2 && query.upTo === undefined
    ? { name: `annals_feed_${query.direction}_${shape}`, text, values }
    : { text, values }
}

export function feedPage(rows: Row[]): FeedPage {
  return { head: Number(rows[0]?.[0] ?? 0), events: lines(rows) }
}

const lines = (rows: Row[]) =>
  rows.filter((row) => row[2] !== null).map((row) => ({ at: Number(row[1]), json: row[2] as string }))

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
