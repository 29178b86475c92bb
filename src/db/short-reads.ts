// The first few events of streams by one prepared statement, which gives the finished lines of each as one value.

import type { PageText, StreamQuery } from './event-log.ts'
import type { Statement } from './read-events.ts'
import { eventJson, quoteIdentifier } from './sql.ts'

/**
 * Rows: number of the read from 1, head of its stream, size of the largest event, count of events, version of the last
 * one, their lines. The arrays stand in subqueries so that PostgreSQL does not plan anew for each length of them.
 */
export function shortReadsStatement(schema: string, reads: StreamQuery[]): Statement {
  const tables = quoteIdentifier(schema)
  return {
    name: 'annals_short_reads',
    text: `SELECT r.n, coalesce(h.version, 0), (SELECT largest_event_bytes FROM ${tables}.annals_head), p.*
      FROM (
        SELECT *, to_json(stream_id) AS stream_json
        FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[]), (SELECT $3::int[]))
          WITH ORDINALITY AS r (stream_id, from_version, size, n)
        OFFSET 0
      ) AS r
      LEFT JOIN LATERAL (
        SELECT version FROM ${tables}.events WHERE stream_id = r.stream_id ORDER BY version DESC LIMIT 1
      ) AS h ON true
      CROSS JOIN LATERAL (
        SELECT count(*), max(e.at), string_agg(e.line, ',') FROM (
          SELECT e.version AS at, ${eventJson('r.stream_json')} AS line FROM ${tables}.events AS e
          WHERE e.stream_id = r.stream_id AND e.version >= r.from_version ORDER BY e.version LIMIT r.size
        ) AS e
      ) AS p`,
    values: [
      reads.map(({ streamId }) => streamId),
      reads.map(({ fromVersion = 1 }) => fromVersion),
      reads.map(({ limit }) => limit),
    ],
  }
}

/** The rows come in row mode `array`, each column as text; the pages are in the order of the reads. */
export function shortPages(rows: (string | null)[][], reads: StreamQuery[]) {
  const pages: PageText[] = []
  for (const row of rows) {
    const place = Number(row[0]) - 1
    pages[place] = shortPage(row, (reads[place] as StreamQuery).limit)
  }
  return { pages, largestEventBytes: Number(rows[0]?.[2]) }
}

function shortPage([, head, , count, last, lines]: (string | null)[], limit: number): PageText {
  return {
    head: Number(head),
    bytes: Buffer.from(lines === null || lines === undefined ? '' : `${lines},`),
    count: Number(count),
    last: last === null ? undefined : Number(last),
    isFull: Number(count) === limit,
  }
}
