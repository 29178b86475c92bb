// What the metrics tell about backups, from the catalogue: it outlives the service, and other services add to it.

import type { RunQuery } from '../run-query.ts'
import { quoteIdentifier } from '../sql.ts'
import { listAttestations } from './attestation-records.ts'

/** Times are seconds since 1970; null when it never was. */
export interface BackupFigures {
  types: {
    type: string
    last_success: number | null
    last_failure: number | null
    /** Of the newest that succeeded. */
    bytes: number | null
    duration: number | null
  }[]
  /** When a backup was last verified or tested, whichever. */
  last_verified: number | null
  /** The oldest moment that can be gone back to. */
  first_recoverability: number | null
  /** The newest moment that a recovery would show. */
  recovery_point: number | null
  /** Of the server's archiver: when a file of the log was last archived, and when that last failed. Null where it is off. */
  wal: { last_archived: number | null; last_failed: number | null; failures: number } | null
  /** By kind, the newest moment that backups made elsewhere are said to show; nothing above counts them. */
  attested: { kind: string; shows: number; bytes: number | null }[]
  drills: { scenario: string; last_success: number; rto: number }[]
}

/** Types without the events: nothing can be recovered from one alone. */
export const WITHOUT_EVENTS: readonly string[] = ['schema', 'globals', 'tables', 'redis']
/** Types onto which WAL is replayed. */
const WAL_BASES = `('physical', 'pgbackrest')`

/** What the metrics of backups are made of; times in seconds since 1970. */
export async function readBackupFigures(query: RunQuery, schema: string): Promise<BackupFigures> {
  const store = quoteIdentifier(schema)
  const epoch = (value: string) => `extract(epoch FROM ${value})::float8`
  const { rows } = await query(
    `WITH whole AS (
      SELECT * FROM ${store}.annals_backups WHERE state = 'complete' AND type <> ALL ($1)
    ), types AS (
      SELECT type, ${epoch(`max(finished_at) FILTER (WHERE state IN ('complete', 'removed'))`)} AS last_success,
        ${epoch(`max(finished_at) FILTER (WHERE state = 'failed')`)} AS last_failure
      FROM ${store}.annals_backups GROUP BY type
    ), newest AS (
      SELECT DISTINCT ON (type) type, bytes::float8 AS bytes, ${epoch('finished_at - started_at')} AS duration
      FROM ${store}.annals_backups WHERE state IN ('complete', 'removed') ORDER BY type, finished_at DESC
    ), drills AS (
      SELECT DISTINCT ON (scenario) result->>'scenario' AS scenario, ${epoch('finished_at')} AS last_success,
        (result->>'rto_seconds')::float8 AS rto
      FROM ${store}.annals_jobs WHERE kind = 'drill' AND state = 'succeeded'
      ORDER BY scenario, finished_at DESC
    )
    SELECT
      (SELECT coalesce(json_agg(to_json(t)), '[]')::text FROM (SELECT * FROM types LEFT JOIN newest USING (type)) AS t) AS types,
      (SELECT ${epoch('max(finished_at)')} FROM ${store}.annals_jobs
        WHERE kind IN ('verify', 'test') AND state = 'succeeded') AS last_verified,
      (SELECT ${epoch('min(started_at)')} FROM whole) AS first_recoverability,
      (SELECT ${epoch(`greatest(max(w.started_at), (
          SELECT a.last_archived_time FROM pg_stat_archiver AS a
          WHERE current_setting('archive_mode') <> 'off' AND EXISTS (SELECT FROM whole WHERE type IN ${WAL_BASES})))`)}
        FROM whole AS w) AS recovery_point,
      (SELECT to_json(w)::text FROM (
        SELECT ${epoch('last_archived_time')} AS last_archived, ${epoch('last_failed_time')} AS last_failed,
          failed_count AS failures
        FROM pg_stat_archiver WHERE current_setting('archive_mode') <> 'off') AS w) AS wal,
      (SELECT coalesce(json_agg(to_json(d)), '[]')::text FROM drills AS d) AS drills`,
    [WITHOUT_EVENTS],
  )
  const row = rows[0] as Record<string, unknown>
  // As text, since connections differ in what they make of JSON.
  const [types, drills, wal] = [row['types'], row['drills'], row['wal']].map((json) => JSON.parse(json as string))
  return { ...row, types, drills, wal, attested: await readAttested(query, schema) } as BackupFigures
}

async function readAttested(query: RunQuery, schema: string): Promise<BackupFigures['attested']> {
  const all = await listAttestations(query, schema)
  return all
    .filter(({ kind }, i) => all.findIndex((each) => each.kind === kind) === i)
    .map(({ kind, shows_to: shows, bytes }) => ({ kind, shows: Date.parse(shows) / 1000, bytes }))
}
