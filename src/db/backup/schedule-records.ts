// annals_schedules: what each schedule ran for last. The leader, who holds the lock, writes to it; and
// who runs a schedule by hand, once it has ended.

import { createHash } from 'node:crypto'
import type pg from 'pg'
import type { RunQuery } from '../run-query.ts'
import { quoteIdentifier, rfc3339 } from '../sql.ts'

export interface ScheduleRecord {
  name: string
  /** The moment that it ran for; what came due after it was missed. */
  due_at: string
  /** Null when it was only seen so far. */
  started_at: string | null
  finished_at: string | null
  state: 'running' | 'succeeded' | 'failed' | null
  error: string | null
}

/** Whether this session is the leader from now on; it is until its connection ends. */
export async function tryLead(client: pg.Client, schema: string): Promise<boolean> {
  const key = createHash('sha256').update(`annals schedules of ${schema}`).digest().readBigInt64BE().toString()
  const { rows } = await client.query('SELECT pg_try_advisory_lock($1::bigint) AS is_ours', [key])
  return rows[0].is_ours
}

/** By name; times are RFC 3339 in UTC. */
export async function listSchedules(query: RunQuery, schema: string): Promise<ScheduleRecord[]> {
  const { rows } = await query(
    `SELECT name, ${rfc3339('due_at')} AS due_at, ${rfc3339('started_at')} AS started_at,
       ${rfc3339('finished_at')} AS finished_at, state, error
     FROM ${quoteIdentifier(schema)}.annals_schedules ORDER BY name`,
  )
  return rows as unknown as ScheduleRecord[]
}

/** Of a leader that died. */
export async function failRunning(query: RunQuery, schema: string): Promise<void> {
  await query(
    `UPDATE ${quoteIdentifier(schema)}.annals_schedules
     SET state = 'failed', finished_at = clock_timestamp(), error = 'its process ended' WHERE state = 'running'`,
  )
}

/** Stores how a schedule stands, in the place of what was stored of it. */
export async function putSchedule(query: RunQuery, schema: string, record: ScheduleRecord): Promise<void> {
  await query(
    `INSERT INTO ${quoteIdentifier(schema)}.annals_schedules (name, due_at, started_at, finished_at, state, error)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at, started_at = excluded.started_at,
       finished_at = excluded.finished_at, state = excluded.state, error = excluded.error`,
    [record.name, record.due_at, record.started_at, record.finished_at, record.state, record.error],
  )
}
