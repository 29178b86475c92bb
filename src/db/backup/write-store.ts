// What a restore does to a store beside copying rows into it.

import type pg from 'pg'
import { qualified, STORE_TABLES } from './store-tables.ts'

/** Keeps every writer out until the transaction ends; readers go on. */
export async function lockStore(client: pg.Client, schema: string): Promise<void> {
  const tables = [...STORE_TABLES.map(({ name }) => name), 'annals_head'].map((name) => qualified(schema, name))
  await client.query(`LOCK TABLE ${tables.join(', ')} IN EXCLUSIVE MODE`)
}

/** What a store holds, in words: `1,204 events`; empty when it holds nothing. */
export async function describeRows(client: pg.Client, schema: string): Promise<string[]> {
  const held: string[] = []
  for (const { name } of STORE_TABLES) {
    const { rows } = await client.query(`SELECT count(*)::float8 AS count FROM ${qualified(schema, name)}`)
    const count = rows[0].count as number
    if (count > 0) held.push(`${count.toLocaleString('en-US')} rows in ${name}`)
  }
  return held
}

/** Sets the head, with an epoch that no reader has seen: a cursor of before must not go on as if nothing had happened. */
export async function setHead(
  client: pg.Client,
  schema: string,
  head: { position: number; largestEventBytes: number },
): Promise<void> {
  await client.query(
    `UPDATE ${qualified(schema, 'annals_head')}
     SET position = $1, largest_event_bytes = $2, epoch = gen_random_uuid()`,
    [head.position, head.largestEventBytes],
  )
}
