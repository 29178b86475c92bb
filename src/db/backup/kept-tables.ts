// What was in use before a restore replaced it, kept in a schema of its own until somebody says that it may go.

import type pg from 'pg'
import { quoteIdentifier } from '../sql.ts'
import { qualified } from './store-tables.ts'

export interface KeptTables {
  /** The schema that holds them. */
  name: string
  /** Why they are kept. */
  reason: string
  tables: string[]
}

/** Says of a schema whose tables it keeps, and why. */
export async function markKept(client: pg.Client, schema: string, kept: string, reason: string): Promise<void> {
  const comment = `${prefixOf(schema)}${reason}`.replaceAll("'", "''")
  await client.query(`COMMENT ON SCHEMA ${quoteIdentifier(kept)} IS '${comment}'`)
}

/** What is kept of this store, the newest first. */
export async function listKept(client: pg.Client, schema: string): Promise<KeptTables[]> {
  const { rows } = await client.query<KeptTables>(
    `SELECT n.nspname AS name, substr(obj_description(n.oid, 'pg_namespace'), length($1) + 1) AS reason,
       ARRAY(SELECT relname::text FROM pg_class WHERE relnamespace = n.oid AND relkind = 'r' ORDER BY relname) AS tables
     FROM pg_namespace AS n WHERE starts_with(obj_description(n.oid, 'pg_namespace'), $1) ORDER BY n.nspname DESC`,
    [prefixOf(schema)],
  )
  return rows
}

/** Drops what is kept. */
export async function dropKept(client: pg.Client, { name, tables }: KeptTables): Promise<void> {
  // Table by table, so that something else that somebody put there stays, and is told of.
  if (tables.length > 0) await client.query(`DROP TABLE ${tables.map((table) => qualified(name, table)).join(', ')}`)
  await client.query(`DROP SCHEMA ${quoteIdentifier(name)}`)
}

/** Puts kept tables back into use, and keeps those that were in use under the name `instead`. */
export async function takeBack(client: pg.Client, schema: string, kept: KeptTables, instead: string): Promise<void> {
  await client.query(`CREATE SCHEMA ${quoteIdentifier(instead)}`)
  for (const table of kept.tables) {
    await client.query(`ALTER TABLE ${qualified(schema, table)} SET SCHEMA ${quoteIdentifier(instead)}`)
    await client.query(`ALTER TABLE ${qualified(kept.name, table)} SET SCHEMA ${quoteIdentifier(schema)}`)
  }
  await client.query(`DROP SCHEMA ${quoteIdentifier(kept.name)}`)
}

const prefixOf = (schema: string): string => `annals store ${schema}: `
