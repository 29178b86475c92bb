// One event of one stream without a function around it: what a lone client sends. Starting a function and its four
// statements takes as long as storing the event.
//
// The statement reads the version before it has the lock of the head, so another process may be faster. Then the row
// collides with the other one's by the primary key, nothing is stored, and the batch statement judges the request.

import type { AppendRequest, PreparedEvent, StreamAppend } from '../event-log.ts'
import { quoteIdentifier, rfc3339 } from '../sql.ts'
import type { Statement } from '../statement.ts'
import { APPLIED, type BatchAnswer, bytesOf } from './append-events.ts'

/** The append of a request that is one event to one stream and nothing else. */
export function loneAppend(requests: AppendRequest[]): StreamAppend | undefined {
  const [request] = requests
  if (requests.length !== 1 || request?.appends.length !== 1 || request.checks.length > 0) return undefined
  const [append] = request.appends
  return append?.events.length === 1 && append.expectedVersion !== 'exists' ? append : undefined
}

/** Answers one row, or none when the version is not the expected one or the id is stored. */
export function loneStatement(schema: string, { streamId, expectedVersion, events }: StreamAppend): Statement {
  const event = events[0] as PreparedEvent
  const tables = quoteIdentifier(schema)
  const isExact = typeof expectedVersion === 'number'
  const version = `SELECT coalesce(max(version), 0) FROM ${tables}.events WHERE stream_id = $1`
  const conditions = [
    ...(isExact ? [`(${version}) = $9::bigint`] : []),
    ...(event.hasClientId ? [`NOT EXISTS (SELECT FROM ${tables}.events WHERE event_id = $4::uuid)`] : []),
  ]
  return {
    name: `annals_append_one${isExact ? '_exact' : ''}${event.hasClientId ? '_id' : ''}`,
    text: `WITH head AS (
        UPDATE ${tables}.annals_head
        SET position = position + 1, largest_event_bytes = greatest(largest_event_bytes, $2::bigint)
        ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}
        RETURNING position
      )
      INSERT INTO ${tables}.events (
        stream_id, version, event_type, event_data, metadata, created_at, position, event_id, content_type, is_json
      )
      SELECT $1, ${isExact ? '$9::bigint' : `(${version})`} + 1, $3, $5::bytea, $6::jsonb, clock_timestamp(), head.position, $4::uuid, $7, $8::boolean
      FROM head
      RETURNING ${rfc3339('created_at')}, version, position`,
    values: [
      streamId,
      String(bytesOf(event)),
      event.type,
      event.id,
      event.data,
      event.metadata?.toString() ?? null,
      event.contentType,
      event.isJson ? 't' : 'f',
      ...(isExact ? [String(expectedVersion)] : []),
    ],
  }
}

/** Row of {@link loneStatement} as text. */
export function readLoneAnswer([createdAt, version, position]: string[]): BatchAnswer {
  return {
    createdAt: createdAt as string,
    headBefore: Number(position) - 1,
    headAfter: Number(position),
    status: [APPLIED],
    currentVersion: [Number(version) - 1],
    firstVersion: [Number(version)],
    firstPosition: [Number(position)],
  }
}
