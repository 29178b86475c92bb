// The list of streams, by skipping from one stream to the next in the primary key: a table of streams would cost
// every append a second row, and this takes a few milliseconds a page.

import type { StreamListQuery } from '../event-log.ts'
import { quoteIdentifier, rfc3339 } from '../sql.ts'
import type { Statement } from '../statement.ts'

/** Rows: stream_id, version, created_at, updated_at. */
export function listStreamsStatement(schema: string, query: StreamListQuery): Statement {
  const events = `${quoteIdentifier(schema)}.events`
  const prefix = query.prefix ?? ''
  // `after` is exclusive and the prefix inclusive, so the walk starts at the larger of the two.
  const isAfter = query.after !== undefined && Buffer.compare(Buffer.from(query.after), Buffer.from(prefix)) >= 0
  return {
    text: `WITH RECURSIVE walk (stream_id, n) AS (
        (SELECT stream_id, 1 FROM ${events} WHERE stream_id ${isAfter ? '>' : '>='} $1 ORDER BY stream_id LIMIT 1)
        UNION ALL
        SELECT (SELECT e.stream_id FROM ${events} AS e WHERE e.stream_id > walk.stream_id ORDER BY e.stream_id LIMIT 1), n + 1
        FROM walk WHERE starts_with(walk.stream_id, $2) AND n < $3
      )
      ${infoOf(events, 'walk')}
      WHERE starts_with(s.stream_id, $2) ORDER BY s.stream_id`,
    values: [isAfter ? query.after : prefix, prefix, query.limit],
  }
}

/** One row, or none when the stream does not exist. */
export function streamInfoStatement(schema: string, streamId: string): Statement {
  const events = `${quoteIdentifier(schema)}.events`
  return {
    name: 'annals_stream_info',
    text: `${infoOf(events, '(SELECT $1::text AS stream_id)')} WHERE last.version IS NOT NULL`,
    values: [streamId],
  }
}

const infoOf = (events: string, streams: string): string => `
  SELECT s.stream_id, last.version, ${rfc3339('first.created_at')} AS created_at, ${rfc3339('last.created_at')} AS updated_at
  FROM ${streams} AS s
  LEFT JOIN LATERAL (SELECT e.created_at FROM ${events} AS e
    WHERE e.stream_id = s.stream_id ORDER BY e.version LIMIT 1) AS first ON true
  LEFT JOIN LATERAL (SELECT e.version, e.created_at FROM ${events} AS e
    WHERE e.stream_id = s.stream_id ORDER BY e.version DESC LIMIT 1) AS last ON true`
