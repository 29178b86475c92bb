// The contents of a store, counted and digested row by row: what a backup writes down, and what is compared after a restore.

import type pg from 'pg'
import { CopyRows } from './copy-rows.ts'
import { copyOut } from './copy-table.ts'
import { Digest } from './digest.ts'
import { readHead } from './read-store.ts'
import type { StoreContents } from './store-contents.ts'
import { EVENTS, SNAPSHOTS, type StoreTable } from './store-tables.ts'

export interface ReadContentsOptions {
  signal: AbortSignal
  /** Told of the rows of a table so far. */
  onRows(table: string, rows: number): void
}

/** In the snapshot of the caller's transaction. */
export async function readContents(
  client: pg.Client,
  schema: string,
  options: ReadContentsOptions,
): Promise<StoreContents> {
  const { head, epoch, migration } = await readHead(client, schema)
  const events = await digestTable(client, schema, EVENTS, options)
  const snapshots = await digestTable(client, schema, SNAPSHOTS, options)
  return {
    ...{ head, epoch, migration },
    events: events.rows,
    snapshots: snapshots.rows,
    events_digest: events.digest,
    snapshots_digest: snapshots.digest,
  }
}

async function digestTable(
  client: pg.Client,
  schema: string,
  table: StoreTable,
  { signal, onRows }: ReadContentsOptions,
): Promise<{ rows: number; digest: string }> {
  const digest = new Digest()
  const rows = new CopyRows(table.columns.length, (buffer, start, end) => digest.add(buffer.subarray(start, end)))
  for await (const piece of copyOut(client, schema, table, table.columns)) {
    rows.push(piece as Buffer)
    onRows(table.name, rows.rows)
    signal.throwIfAborted()
  }
  return { rows: rows.rows, digest: digest.hex }
}
