// The contents of a store, counted and digested row by row: what a backup writes down, and what is compared after a restore.

import type pg from 'pg'
import { CopyRows } from './copy-rows.ts'
import { copyOut } from './copy-table.ts'
import { Digest } from './digest.ts'
import { EVENTS, qualified, SNAPSHOTS, type StoreTable } from './store-tables.ts'

/** As in {@link StoreContents}. */
export interface RowContents {
  head: number
  events: number
  snapshots: number
  events_digest: string
  snapshots_digest: string
}

export interface ReadContentsOptions {
  /** Those of `events` and `snapshots` that are read. */
  tables: readonly string[]
  signal: AbortSignal
  /** Told of the rows of a table so far. */
  onRows(table: string, rows: number): void
}

/** In the snapshot of the caller's transaction. */
export async function readContents(
  client: pg.Client,
  schema: string,
  options: ReadContentsOptions,
): Promise<Partial<RowContents>> {
  const contents: Partial<RowContents> = {}
  if (options.tables.includes(EVENTS.name)) {
    const { rows } = await client.query(`SELECT position::float8 AS head FROM ${qualified(schema, 'annals_head')}`)
    const events = await digestTable(client, schema, EVENTS, options)
    Object.assign(contents, { head: rows[0]?.head, events: events.rows, events_digest: events.digest })
  }
  if (options.tables.includes(SNAPSHOTS.name)) {
    const snapshots = await digestTable(client, schema, SNAPSHOTS, options)
    Object.assign(contents, { snapshots: snapshots.rows, snapshots_digest: snapshots.digest })
  }
  return contents
}

async function digestTable(
  client: pg.Client,
  schema: string,
  table: StoreTable,
  { signal, onRows }: ReadContentsOptions,
): Promise<{ rows: number; digest: string }> {
  const digest = new Digest()
  const rows = new CopyRows(table.columns.length, (buffer, start, end) => digest.add(buffer.subarray(start, end)))
  for await (const piece of copyOut(client, schema, table, table)) {
    rows.push(piece as Buffer)
    onRows(table.name, rows.rows)
    signal.throwIfAborted()
  }
  return { rows: rows.rows, digest: digest.hex }
}
