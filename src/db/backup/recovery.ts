// A server that replays its log: how far it is, and what it holds of an event whose moment is looked for.

import pg from 'pg'
import { copyIn, copyOut } from './copy-table.ts'
import { columnsOf, EVENTS, qualified } from './store-tables.ts'
import { setHead } from './write-store.ts'

const STATE_TIMEOUT_MS = 5_000

export interface RecoveryState {
  is_recovering: boolean
  is_paused: boolean
  /** Up to where the log was replayed. */
  lsn: string | null
  /** When the last transaction that was replayed had been committed; RFC 3339. */
  time: string | null
}

/** @throws an error of `pg` while the server does not take connections yet */
export async function readRecoveryState(url: string): Promise<RecoveryState> {
  // The server may end at any moment of this.
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: STATE_TIMEOUT_MS,
    query_timeout: STATE_TIMEOUT_MS,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query<RecoveryState>(
      `SELECT pg_is_in_recovery() AS is_recovering,
         CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() = 'paused' ELSE false END AS is_paused,
         pg_last_wal_replay_lsn()::text AS lsn,
         to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS time`,
    )
    return rows[0] as RecoveryState
  } finally {
    void client.end().catch(() => {})
  }
}

export interface EventName {
  stream: string
  version: number
}

/** An event, the transaction that stored it, and what that transaction had stored before it. */
export interface LocatedEvent {
  position: number
  xid: string
  before: { columns: string[]; rows: number; bytes: Buffer[] }
}

/** Undefined when there is no such event. */
export async function locateEvent(
  client: pg.Client,
  schema: string,
  { stream, version }: EventName,
): Promise<LocatedEvent | undefined> {
  const events = qualified(schema, 'events')
  const { rows } = await client.query<{ position: number; xid: string; first: number }>(
    `SELECT e.position::float8 AS position, e.xmin::text AS xid, (
         -- Whoever appends holds the head until its commit, so the positions of one transaction have no gap.
         SELECT coalesce(max(b.position), 0) + 1 FROM (
           SELECT position FROM ${events} WHERE position < e.position AND xmin <> e.xmin ORDER BY position DESC LIMIT 1) AS b
       )::float8 AS first
     FROM ${events} AS e WHERE e.stream_id = $1 AND e.version = $2`,
    [stream, version],
  )
  const [found] = rows
  if (found === undefined) return undefined
  const { position, xid, first } = found
  const all = await columnsOf((text, values) => client.query(text, values), schema, EVENTS)
  const columns = all.map(({ name }) => name)
  const bytes: Buffer[] = []
  const where = `position >= ${first} AND position < ${position}`
  for await (const piece of copyOut(client, schema, EVENTS, { columns, where, isOrdered: true }))
    bytes.push(piece as Buffer)
  return { position, xid, before: { columns, rows: position - first, bytes } }
}

/** Stores what a transaction had stored before the event, and sets the head to it; in the caller's transaction. */
export async function putBackBefore(client: pg.Client, schema: string, event: LocatedEvent): Promise<void> {
  const { columns, bytes } = event.before
  await new Promise<void>((resolve, reject) => {
    const target = copyIn(client, schema, EVENTS.name, columns)
    target.once('error', reject).once('finish', resolve)
    for (const piece of bytes) target.write(piece)
    target.end()
  })
  await setHead(client, schema, event.position - 1)
}

/** What of a store has to be so after every recovery, in words where it is not. */
export async function recoveryFaults(client: pg.Client, schema: string, event?: EventName): Promise<string[]> {
  const events = qualified(schema, 'events')
  const { rows } = await client.query<{ head: number; count: number; last: number }>(
    `SELECT (SELECT position FROM ${qualified(schema, 'annals_head')})::float8 AS head,
       count(*)::float8 AS count, coalesce(max(position), 0)::float8 AS last FROM ${events}`,
  )
  const { head, count, last } = rows[0] as (typeof rows)[0]
  const faults =
    count === head && last === head ? [] : [`the head is ${head}, and there are ${count} events up to position ${last}`]
  if (event === undefined) return faults
  const { rows: versions } = await client.query<{ version: number | null }>(
    `SELECT max(version)::float8 AS version FROM ${events} WHERE stream_id = $1`,
    [event.stream],
  )
  const version = versions[0]?.version ?? 0
  if (version === event.version - 1) return faults
  return [...faults, `the last version of ${event.stream} is ${version}, not ${event.version - 1}`]
}
