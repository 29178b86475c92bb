// The connection that a backup job works over: direct, and with the lock that keeps other jobs off the store.

import { createHash } from 'node:crypto'
import type pg from 'pg'
import { openDirectConnection } from '../connections/direct-connection.ts'
import { quoteIdentifier } from '../sql.ts'

/** Where a store is. The URL leads to the database itself, not to a pooler. */
export interface StoreAddress {
  url: string
  schema: string
}

/** @throws MigrationError `refused` as {@link openDirectConnection}, or an error of `pg` */
export const connectToStore = ({ url }: StoreAddress, purpose: string): Promise<pg.Client> =>
  openDirectConnection(url, `annals ${purpose} (process ${process.pid})`)

/** Whether the lock could be had; it ends with the connection. One job at a time works on a store. */
export async function tryLockForJob(client: pg.Client, schema: string): Promise<boolean> {
  const { rows } = await client.query('SELECT pg_try_advisory_lock($1::bigint) AS is_ours', [lockKeyOf(schema)])
  return rows[0].is_ours
}

/** Whether the store has the tables of the catalogue. */
export async function hasCatalogue(client: pg.Client, schema: string): Promise<boolean> {
  const { rows } = await client.query('SELECT to_regclass($1) IS NOT NULL AS is_there', [
    `${quoteIdentifier(schema)}.annals_jobs`,
  ])
  return rows[0].is_there
}

/** Advisory locks belong to one database already; the key keeps the stores within it apart. */
const lockKeyOf = (schema: string): string =>
  createHash('sha256').update(`annals backup jobs of ${schema}`).digest().readBigInt64BE().toString()
