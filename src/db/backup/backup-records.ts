// The catalogue in the store: annals_backups, and annals_jobs for what was done with them.

import type { RunQuery } from '../run-query.ts'
import { quoteIdentifier, rfc3339 } from '../sql.ts'

export type BackupState = 'running' | 'complete' | 'failed' | 'removed'

export interface BackupRecord {
  id: string
  type: string
  destination: string
  state: BackupState
  started_at: string
  finished_at: string | null
  /** Of all files. */
  bytes: number | null
  /** As in manifest.json. */
  manifest: unknown
  manifest_sha256: string | null
  error: string | null
}

export type JobKind = 'create' | 'verify' | 'test' | 'restore' | 'prune' | 'drill'
export type JobState = 'running' | 'succeeded' | 'failed' | 'stopped'

export interface JobRecord {
  id: string
  kind: JobKind
  backup_id: string | null
  state: JobState
  started_at: string
  updated_at: string
  finished_at: string | null
  /** `role@host/annals/process id`. */
  run_by: string
  request: Record<string, unknown>
  progress: Record<string, unknown> | null
  result: Record<string, unknown> | null
  error: string | null
}

/** Writes a backup down, as it begins or as it has become. */
export async function putBackup(query: RunQuery, schema: string, record: BackupRecord): Promise<void> {
  await query(
    `INSERT INTO ${tables(schema)}.annals_backups
       (id, type, destination, state, started_at, finished_at, bytes, manifest, manifest_sha256, error)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10)
     ON CONFLICT (id) DO UPDATE SET type = excluded.type, destination = excluded.destination, state = excluded.state,
       started_at = excluded.started_at, finished_at = excluded.finished_at, bytes = excluded.bytes,
       manifest = excluded.manifest, manifest_sha256 = excluded.manifest_sha256, error = excluded.error`,
    [
      record.id,
      record.type,
      record.destination,
      record.state,
      record.started_at,
      record.finished_at,
      record.bytes,
      record.manifest === null ? null : JSON.stringify(record.manifest),
      record.manifest_sha256,
      record.error,
    ],
  )
}

/** All backups that were ever made, the newest first. */
export async function listBackups(query: RunQuery, schema: string): Promise<BackupRecord[]> {
  const { rows } = await query(
    `SELECT id, type, destination, state, ${rfc3339('started_at')} AS started_at, ${rfc3339('finished_at')} AS finished_at,
       bytes::float8 AS bytes, manifest::text AS manifest, manifest_sha256, error
     FROM ${tables(schema)}.annals_backups ORDER BY id DESC`,
  )
  return rows.map((row) => ({ ...row, manifest: json(row['manifest']) }) as unknown as BackupRecord)
}

/** Begins a job and answers its id. What still counts as running is from a process that died: the caller holds the lock. */
export async function startJob(
  query: RunQuery,
  schema: string,
  job: { kind: JobKind; backupId: string | null; by: string; request: object },
): Promise<string> {
  await query(
    `UPDATE ${tables(schema)}.annals_jobs SET state = 'failed', finished_at = updated_at, error = 'its process ended'
     WHERE state = 'running'`,
  )
  await query(
    `UPDATE ${tables(schema)}.annals_backups SET state = 'failed', finished_at = clock_timestamp(), error = 'its process ended'
     WHERE state = 'running'`,
  )
  const { rows } = await query(
    `INSERT INTO ${tables(schema)}.annals_jobs (kind, backup_id, state, run_by, request)
     VALUES ($1, $2, 'running', session_user || $3, $4::jsonb) RETURNING id`,
    [job.kind, job.backupId, job.by, JSON.stringify(job.request)],
  )
  return rows[0]?.['id'] as string
}

/** Says that a job goes on, and how far it is. */
export async function noteProgress(
  query: RunQuery,
  schema: string,
  id: string,
  progress: object | undefined,
): Promise<void> {
  await query(
    `UPDATE ${tables(schema)}.annals_jobs SET progress = coalesce($2::jsonb, progress), updated_at = clock_timestamp()
     WHERE id = $1`,
    [id, progress === undefined ? null : JSON.stringify(progress)],
  )
}

/** Ends a job. */
export async function finishJob(
  query: RunQuery,
  schema: string,
  id: string,
  outcome: { state: JobState; backupId: string | null; result: object | null; error: string | null },
): Promise<void> {
  await query(
    `UPDATE ${tables(schema)}.annals_jobs SET state = $2, backup_id = $3, result = $4::jsonb, error = $5,
       updated_at = clock_timestamp(), finished_at = clock_timestamp() WHERE id = $1`,
    [
      id,
      outcome.state,
      outcome.backupId,
      outcome.result === null ? null : JSON.stringify(outcome.result),
      outcome.error,
    ],
  )
}

// Long for a job that notes its progress every second.
const SILENT = `state = 'running' AND updated_at < clock_timestamp() - interval '1 minute'`

/** Jobs that match, the newest first. One that has said nothing for a minute is shown as failed: its process is gone. */
export async function listJobs(
  query: RunQuery,
  schema: string,
  filter: { id?: string; backupId?: string; limit: number },
): Promise<JobRecord[]> {
  const { rows } = await query(
    `SELECT id, kind, backup_id, CASE WHEN ${SILENT} THEN 'failed' ELSE state END AS state, ${rfc3339('started_at')} AS started_at, ${rfc3339('updated_at')} AS updated_at,
       ${rfc3339('finished_at')} AS finished_at, run_by, request::text AS request, progress::text AS progress,
       result::text AS result,
       CASE WHEN ${SILENT} THEN 'its process ended' ELSE error END AS error
     FROM ${tables(schema)}.annals_jobs
     WHERE ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR backup_id = $2)
     ORDER BY started_at DESC LIMIT $3`,
    [filter.id ?? null, filter.backupId ?? null, filter.limit],
  )
  return rows.map((row) => {
    const [request, progress, result] = [row['request'], row['progress'], row['result']].map(json)
    return { ...row, request, progress, result } as unknown as JobRecord
  })
}

// As text, because connections differ in what they make of jsonb.
const json = (text: unknown): unknown => (text === null ? null : JSON.parse(text as string))

const tables = (schema: string): string => quoteIdentifier(schema)
