// A place to try a backup out, dropped afterwards whatever happens: a database of its own, or a schema where the role
// may not make databases.

import { createHash, randomBytes } from 'node:crypto'
import type pg from 'pg'
import { quoteIdentifier } from '../sql.ts'
import { connectToStore, type StoreAddress } from './store-connection.ts'

export interface Scratch {
  kind: 'database' | 'schema'
  address: StoreAddress
  drop(): Promise<void>
}

const MAY_NOT = '42501'

/**
 * Makes it on the server of a store, on which the caller's job is alone: what a job that died left is dropped first.
 * @throws an error of `pg`, when the role may not make a database and `mayBeSchema` is false
 */
export async function createScratch(store: StoreAddress, { mayBeSchema }: { mayBeSchema: boolean }): Promise<Scratch> {
  return connected(store, async (client) => {
    const prefix = `annals_scratch_${await keyOf(client, store)}_`
    await dropLeftovers(client, prefix)
    const name = `${prefix}${randomBytes(4).toString('hex')}`
    const quoted = quoteIdentifier(name)
    try {
      await client.query(`CREATE DATABASE ${quoted} TEMPLATE template0 ENCODING 'UTF8'`)
    } catch (error) {
      if (!mayBeSchema || (error as { code?: string }).code !== MAY_NOT) throw error
      await client.query(`CREATE SCHEMA ${quoted}`)
      return {
        kind: 'schema',
        address: { url: store.url, schema: name },
        drop: () => connected(store, (again) => run(again, `DROP SCHEMA IF EXISTS ${quoted} CASCADE`)),
      }
    }
    const url = new URL(store.url)
    url.pathname = `/${name}`
    return {
      kind: 'database',
      address: { url: url.href, schema: store.schema },
      drop: () => connected(store, (again) => run(again, `DROP DATABASE IF EXISTS ${quoted} WITH (FORCE)`)),
    }
  })
}

async function dropLeftovers(client: pg.Client, prefix: string): Promise<void> {
  const { rows: databases } = await client.query<{ name: string }>(
    'SELECT datname AS name FROM pg_database WHERE starts_with(datname, $1)',
    [prefix],
  )
  for (const { name } of databases) await run(client, `DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`)
  const { rows: schemas } = await client.query<{ name: string }>(
    'SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname, $1)',
    [prefix],
  )
  for (const { name } of schemas) await run(client, `DROP SCHEMA IF EXISTS ${quoteIdentifier(name)} CASCADE`)
}

async function run(client: pg.Client, statement: string): Promise<void> {
  await client.query(statement)
}

async function connected<T>(store: StoreAddress, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connectToStore(store, 'scratch')
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => {})
  }
}

/** Databases are of the whole server, so the name says which store they belong to. */
async function keyOf(client: pg.Client, { schema }: StoreAddress): Promise<string> {
  const { rows } = await client.query<{ database: string }>('SELECT current_database() AS database')
  return createHash('sha256').update(`${rows[0]?.database} ${schema}`).digest('hex').slice(0, 8)
}
