// Snapshots against their streams, some at a time in the order of stream ids.

import type { RunQuery } from '../run-query.ts'
import { quoteIdentifier } from '../sql.ts'
import type { IntegrityFinding } from './finding.ts'

export interface SnapshotCheck {
  findings: IntegrityFinding[]
  snapshots: number
  /** Stream id to go on after; null when these were the last. */
  next: string | null
}

/** The first `limit` snapshots of streams after `after`; without one, from the beginning. @throws errors of `pg` */
export async function checkSnapshots(
  query: RunQuery,
  schema: string,
  after: string | null,
  limit: number,
): Promise<SnapshotCheck> {
  const tables = quoteIdentifier(schema)
  // A page of snapshots and their streams in one statement: of one moment.
  const { rows } = await query(
    `SELECT s.stream_id, s.version,
       coalesce((SELECT max(e.version) FROM ${tables}.events AS e WHERE e.stream_id = s.stream_id), 0) AS reached
     FROM ${tables}.snapshots AS s WHERE $1::text IS NULL OR s.stream_id > $1 COLLATE "C"
     ORDER BY s.stream_id COLLATE "C" LIMIT $2`,
    [after, limit],
  )
  const ahead = rows.filter(({ version, reached }) => Number(version) > Number(reached))
  return {
    findings: ahead.map(({ stream_id: streamId, version, reached }) => ({
      rule: 'snapshot_ahead',
      detail: `the snapshot of ${streamId} is of version ${version}, and the stream is at ${reached}`,
      position: null,
      stream_id: streamId as string,
    })),
    snapshots: rows.length,
    next: rows.length < limit ? null : (rows.at(-1)?.['stream_id'] as string),
  }
}
