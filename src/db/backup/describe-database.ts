// What a dump has to know about a database, and what is compared with after it was restored.

import type pg from 'pg'
import type { RunQuery } from '../run-query.ts'
import { quoteIdentifier } from '../sql.ts'

const IS_USERS = `n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'`
const IS_EXTENSIONS = `EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`

/** Lets another connection see what this one's transaction sees, while it lasts. */
export async function exportSnapshot(client: pg.Client): Promise<string> {
  const { rows } = await client.query('SELECT pg_export_snapshot() AS snapshot')
  return rows[0].snapshot
}

export interface ServerVersion {
  major: number
  /** For instance `15.20`. */
  version: string
  /** Where the log of the server is; for people who look for the moment in the archived WAL. */
  lsn: string
  is_superuser: boolean
  /** Of the cluster: a server and its standbys share it, no other has it. */
  system_identifier: string
  /** The role that made the cluster. */
  superuser: string
}

/** Version, place in the log and identity of the server; on a primary only, as `pg_current_wal_lsn()` is. */
export async function readServer(client: pg.Client): Promise<ServerVersion> {
  const { rows } = await client.query<ServerVersion>(
    `SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('server_version') AS version,
       pg_current_wal_lsn()::text AS lsn, current_setting('is_superuser')::boolean AS is_superuser,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       (SELECT rolname FROM pg_roles WHERE oid = 10) AS superuser`,
  )
  return rows[0] as ServerVersion
}

/** What the manifest of a backup says of where it comes from. */
export async function readOrigin(query: RunQuery): Promise<{ database: string; version: string }> {
  const { rows } = await query(`SELECT current_database() AS database, current_setting('server_version') AS version`)
  return rows[0] as { database: string; version: string }
}

/** Where the server has its files and its socket, and what it does with its log. */
export interface ServerFiles {
  data_directory: string
  port: string
  /** The first of them. */
  socket_folder: string
  database: string
  archive_mode: string
  archive_command: string
}

/** For roles that may read all settings. */
export async function readServerFiles(client: pg.Client): Promise<ServerFiles> {
  const { rows } = await client.query<ServerFiles>(
    `SELECT current_setting('data_directory') AS data_directory, current_setting('port') AS port,
       trim(split_part(current_setting('unix_socket_directories'), ',', 1)) AS socket_folder,
       current_database() AS database, current_setting('archive_mode') AS archive_mode,
       current_setting('archive_command') AS archive_command`,
  )
  return rows[0] as ServerFiles
}

/** Bytes of the database that it is connected to. */
export async function databaseBytes(client: pg.Client): Promise<number> {
  const { rows } = await client.query('SELECT pg_database_size(current_database())::float8 AS bytes')
  return rows[0].bytes
}

/** A table, view or sequence that somebody made. */
export interface Relation {
  schema: string
  name: string
  /** `schema.name`, quoted where it has to be. */
  path: string
  holds_rows: boolean
  /** Other tables of the same schema that its foreign keys refer to. */
  refers_to: string[]
}

/** All of them, or those of one schema; sequences that a column owns go with their table. */
export async function listRelations(client: pg.Client, schema?: string): Promise<Relation[]> {
  const { rows } = await client.query<Relation>(
    `SELECT n.nspname AS schema, c.relname AS name, format('%I.%I', n.nspname, c.relname) AS path, c.relkind = 'r' AS holds_rows,
       ARRAY(SELECT DISTINCT f.relname::text FROM pg_constraint AS k JOIN pg_class AS f ON f.oid = k.confrelid
         WHERE k.conrelid = c.oid AND k.contype = 'f' AND f.oid <> c.oid) AS refers_to
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' AND ${IS_USERS} AND NOT ${IS_EXTENSIONS}
       AND ($1::text IS NULL OR n.nspname = $1)
       AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
         AND c.relkind = 'S' AND d.deptype IN ('a', 'i'))
     ORDER BY path`,
    [schema ?? null],
  )
  return rows
}

/** Rows of each, by path. */
export async function countRows(client: pg.Client, paths: readonly string[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const path of paths) {
    const { rows } = await client.query(`SELECT count(*)::float8 AS count FROM ${path}`)
    counts[path] = rows[0].count
  }
  return counts
}

/** Schemas that a dump would collide with, and `public` when something is in it; empty for a new database. */
export async function occupiedSchemas(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT n.nspname AS name FROM pg_namespace AS n WHERE ${IS_USERS} AND (n.nspname <> 'public'
       OR EXISTS (SELECT FROM pg_class AS c WHERE c.relnamespace = n.oid AND NOT ${IS_EXTENSIONS})
       OR EXISTS (SELECT FROM pg_proc AS c WHERE c.pronamespace = n.oid AND NOT EXISTS (
         SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = c.oid AND d.deptype = 'e')))
     ORDER BY 1`,
  )
  return rows.map(({ name }) => name)
}

/** A dump of one schema makes that schema, and a new database has a `public` already: it goes, as long as it is empty. */
export const DROP_EMPTY_PUBLIC = 'DROP SCHEMA IF EXISTS public;\n'

/** Takes away all that is in a database, which was empty before a restore that went wrong. */
export async function clearDatabase(client: pg.Client): Promise<void> {
  for (const name of await occupiedSchemas(client)) await client.query(`DROP SCHEMA ${quoteIdentifier(name)} CASCADE`)
  await client.query('CREATE SCHEMA IF NOT EXISTS public')
}

/** Beside those that every server has. */
export async function listTablespaces(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT spcname AS name FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY 1`,
  )
  return rows.map(({ name }) => name)
}

/** Roles of the server. */
export async function listRoles(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>('SELECT quote_ident(rolname) AS name FROM pg_roles')
  return rows.map(({ name }) => name)
}
