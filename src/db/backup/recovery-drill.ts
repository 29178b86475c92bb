// What the drill of a recovery to a moment does to its own server, and asks of it.

import type pg from 'pg'
import { EVENTS, qualified } from './store-tables.ts'

/** Appends events of one type until the stream has this version, in a transaction of their own; none when it has it. */
export async function appendUpTo(
  client: pg.Client,
  schema: string,
  { stream, version, type }: { stream: string; version: number; type: string },
): Promise<void> {
  const events = qualified(schema, EVENTS.name)
  await client.query(
    `INSERT INTO ${events} (stream_id, version, event_type, event_data)
     SELECT $1, v, $2, '{}' FROM generate_series(
       (SELECT coalesce(max(version), 0) + 1 FROM ${events} WHERE stream_id = $1), $3::bigint) AS v`,
    [stream, type, version],
  )
}

/** Ends the current file of the log, so that it is archived, and answers its name. */
export async function endLogFile(client: pg.Client): Promise<string> {
  const { rows } = await client.query('SELECT pg_walfile_name(pg_switch_wal()) AS name')
  return rows[0].name
}

/** The store's own, without the timeline of the server, which is another one after any recovery. */
export async function readOwnEpoch(client: pg.Client, schema: string): Promise<string> {
  const { rows } = await client.query(`SELECT epoch::text AS epoch FROM ${qualified(schema, 'annals_head')}`)
  return rows[0].epoch
}
