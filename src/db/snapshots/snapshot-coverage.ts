// Streams that are far ahead of their snapshots, by skipping from stream to stream as the list of streams does:
// a join of all events with all snapshots would read everything there is.

import { quoteIdentifier, rfc3339 } from '../sql.ts'
import type { Row, Statement } from '../statement.ts'
import type { CoveragePage, CoverageQuery, CoverageSums, StreamCoverage } from './snapshot-store.ts'

/**
 * Rows in byte order of the stream id: those that are behind, and the last one that was looked at. Columns: stream_id,
 * version, snapshot's version or null, when it was stored, how many streams were looked at so far, whether it is behind.
 */
export function coverageStatement(schema: string, query: CoverageQuery): Statement {
  return {
    name: 'annals_snapshot_coverage',
    text: `${walk(schema)}
      SELECT stream_id, version, snapshot_version, ${rfc3339('snapshot_at')}, checked, is_behind FROM walk
      WHERE is_behind OR checked = (SELECT max(checked) FROM walk) ORDER BY checked`,
    values: valuesOf(query),
  }
}

/** One row: how many of the streams are behind, the most events since a snapshot, streams looked at, the last of them. */
export function coverageSumsStatement(schema: string, query: CoverageQuery): Statement {
  return {
    name: 'annals_snapshot_coverage_sums',
    text: `${walk(schema)}
      SELECT count(*) FILTER (WHERE is_behind), max(version - coalesce(snapshot_version, 0)), count(*),
        (SELECT stream_id FROM walk ORDER BY checked DESC LIMIT 1) FROM walk`,
    values: valuesOf(query),
  }
}

const valuesOf = ({ after = '', moreThan, limit, maxChecked }: CoverageQuery): unknown[] => [
  after,
  moreThan,
  limit,
  maxChecked,
]

// From stream to stream, until enough of them are behind or were looked at.
function walk(schema: string): string {
  const tables = quoteIdentifier(schema)
  const isBehind = 'next.version - coalesce(next.snapshot_version, 0) > $2::bigint'
  const columns = 'next.stream_id, next.version, next.snapshot_version, next.snapshot_at'
  return `WITH RECURSIVE walk (stream_id, version, snapshot_version, snapshot_at, is_behind, checked, behind) AS (
        SELECT ${columns}, ${isBehind}, 1, (${isBehind})::int FROM (${nextStream(tables, '$1::text')}) AS next
        UNION ALL
        SELECT ${columns}, ${isBehind}, walk.checked + 1, walk.behind + (${isBehind})::int
        FROM walk CROSS JOIN LATERAL (${nextStream(tables, 'walk.stream_id')}) AS next
        WHERE walk.behind < $3::int AND walk.checked < $4::int
      )`
}

// The first stream after `after`, its version, and its snapshot unless that is ahead of it.
const nextStream = (tables: string, after: string): string => `
  SELECT found.stream_id, last.version, s.version AS snapshot_version, s.created_at AS snapshot_at
  FROM (SELECT e.stream_id FROM ${tables}.events AS e WHERE e.stream_id > ${after} ORDER BY e.stream_id LIMIT 1) AS found
  CROSS JOIN LATERAL (SELECT e.version FROM ${tables}.events AS e
    WHERE e.stream_id = found.stream_id ORDER BY e.version DESC LIMIT 1) AS last
  LEFT JOIN ${tables}.snapshots AS s ON s.stream_id = found.stream_id AND s.version <= last.version`

/** Reads the one row of sums; `next` is the stream to go on after, null when all were looked at. */
export function coverageSums([row]: Row[], { maxChecked }: CoverageQuery): CoverageSums {
  const [behind, largestLag, checked, last] = row as Row
  return {
    behind: Number(behind),
    largestLag: Number(largestLag ?? 0),
    checked: Number(checked),
    next: Number(checked) === maxChecked ? (last as string) : null,
  }
}

/** Reads the rows of one page; `next` is the stream to go on after, null on the last page. */
export function coveragePage(rows: Row[], { limit, maxChecked }: CoverageQuery): CoveragePage {
  const streams = rows.filter((row) => row[5] as unknown as boolean).map(streamCoverage)
  const last = rows.at(-1)
  const checked = Number(last?.[4] ?? 0)
  const mayHaveMore = streams.length === limit || checked === maxChecked
  return { streams, checked, next: mayHaveMore ? (last?.[0] as string) : null }
}

function streamCoverage([streamId, version, snapshotVersion, snapshotAt]: Row): StreamCoverage {
  return {
    stream_id: streamId as string,
    version: Number(version),
    snapshot: snapshotVersion === null ? null : { version: Number(snapshotVersion), created_at: snapshotAt as string },
    events_since_snapshot: Number(version) - Number(snapshotVersion ?? 0),
  }
}
