// What a restore does to a store beside copying rows into it.

import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { quoteIdentifier } from '../sql.ts'
import { qualified, STORE_TABLES } from './store-tables.ts'

// In the order in which appends take them. A restore gives way before a deadlock is looked for, and tries again.
const TABLES = ['annals_head', ...STORE_TABLES.map(({ name }) => name), 'annals_consumer_members']
const LOCK_TIMEOUT_MS = 500
const LOCK_PAUSE_MS = 100
const LOCK_ATTEMPTS = 60
const IS_WORTH_A_RETRY = new Set(['55P03', '40P01'])

/**
 * Locks the store's tables in the caller's transaction, before it has done anything, or again in a stronger way.
 * EXCLUSIVE keeps writers out and lets readers go on; ACCESS EXCLUSIVE keeps out all.
 * @throws the error of the last attempt after about half a minute
 */
export async function lockStore(
  client: pg.Client,
  schema: string,
  mode: 'EXCLUSIVE' | 'ACCESS EXCLUSIVE',
): Promise<void> {
  const tables = TABLES.map((name) => qualified(schema, name)).join(', ')
  for (let attempt = 1; ; attempt++) {
    await client.query(`SAVEPOINT annals_lock; SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
    try {
      await client.query(`LOCK TABLE ${tables} IN ${mode} MODE`)
      await client.query('SET LOCAL lock_timeout = 0; RELEASE SAVEPOINT annals_lock')
      return
    } catch (error) {
      await client.query('ROLLBACK TO SAVEPOINT annals_lock')
      const { code } = error as { code?: string }
      if (attempt === LOCK_ATTEMPTS || !IS_WORTH_A_RETRY.has(code ?? '')) throw error
      await sleep(LOCK_PAUSE_MS)
    }
  }
}

/** What a store holds, in words: `1,204 rows in events`; empty when it holds nothing. */
export async function describeRows(client: pg.Client, schema: string): Promise<string[]> {
  const held: string[] = []
  for (const { name } of STORE_TABLES) {
    if (!(await isThere(client, schema, name))) continue
    const { rows } = await client.query(`SELECT count(*)::float8 AS count FROM ${qualified(schema, name)}`)
    const count = rows[0].count as number
    if (count > 0) held.push(`${count.toLocaleString('en-US')} rows in ${name}`)
  }
  return held
}

/** Takes every row out; in the caller's transaction. Only the owner of the tables may. */
export async function emptyStore(client: pg.Client, schema: string): Promise<void> {
  const tables = TABLES.filter((name) => name !== 'annals_head').map((name) => qualified(schema, name))
  await client.query(`SET LOCAL annals.allow_rewrite = on; TRUNCATE ${tables.join(', ')}`)
}

/**
 * Sets the head, with an epoch that no reader has seen: a cursor of before must not go on as if nothing had happened.
 * How large an event is, readers have to know, so it is counted from what is there.
 */
export async function setHead(client: pg.Client, schema: string, position: number): Promise<void> {
  await client.query(
    `UPDATE ${qualified(schema, 'annals_head')} SET position = $1, epoch = gen_random_uuid(), largest_event_bytes = (
       SELECT coalesce(max(octet_length(event_data) + coalesce(octet_length(metadata::text), 0)), 0)
       FROM ${qualified(schema, 'events')})`,
    [position],
  )
}

/** Statistics for the planner, and a wake-up for whoever follows; after the commit. */
export async function settleStore(client: pg.Client, schema: string): Promise<void> {
  await client.query(`ANALYZE ${STORE_TABLES.map(({ name }) => qualified(schema, name)).join(', ')}`)
  await client.query(`SELECT pg_notify('annals', $1)`, [schema])
}

/** Whether a schema holds no table at all. */
export async function isSchemaEmpty(client: pg.Client, schema: string): Promise<boolean> {
  const { rows } = await client.query(
    `SELECT NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p', 'v', 'm')) AS is_empty`,
    [quoteIdentifier(schema)],
  )
  return rows[0].is_empty
}

/** Removes snapshots that are ahead of their stream in `events`, another schema maybe; answers how many. */
export async function dropSnapshotsAhead(client: pg.Client, schema: string, events: string): Promise<number> {
  const { rowCount } = await client.query(
    `DELETE FROM ${qualified(schema, 'snapshots')} AS s
     WHERE version > (SELECT coalesce(max(version), 0) FROM ${qualified(events, 'events')} AS e WHERE e.stream_id = s.stream_id)`,
  )
  return rowCount ?? 0
}

/** Brings consumers back to a head that is before them; answers how many partitions were. */
export async function bringConsumersBack(client: pg.Client, schema: string, head: number): Promise<number> {
  await client.query(`DELETE FROM ${qualified(schema, 'annals_consumer_parked')} WHERE position > $1`, [head])
  const { rowCount } = await client.query(
    `UPDATE ${qualified(schema, 'annals_consumer_partitions')} SET checkpoint = $1 WHERE checkpoint > $1`,
    [head],
  )
  return rowCount ?? 0
}

/** An epoch that no reader has seen. */
export async function renewEpoch(client: pg.Client, schema: string): Promise<void> {
  await client.query(`UPDATE ${qualified(schema, 'annals_head')} SET epoch = gen_random_uuid()`)
}

async function isThere(client: pg.Client, schema: string, table: string): Promise<boolean> {
  const { rows } = await client.query('SELECT to_regclass($1) IS NOT NULL AS is_there', [qualified(schema, table)])
  return rows[0].is_there
}
