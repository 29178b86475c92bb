// The tables that a backup carries, with the columns that make up the digest of a row, in this order for ever.

import type { RunQuery } from '../run-query.ts'
import { quoteIdentifier } from '../sql.ts'

export interface StoreTable {
  name: string
  /** Columns of Annals itself; others that a table was given come after them. */
  columns: readonly string[]
  orderBy: string
}

export const EVENTS: StoreTable = {
  name: 'events',
  columns: [
    'stream_id',
    'version',
    'event_type',
    'event_data',
    'metadata',
    'created_at',
    'position',
    'event_id',
    'content_type',
    'is_json',
  ],
  orderBy: 'position',
}

export const SNAPSHOTS: StoreTable = {
  name: 'snapshots',
  columns: ['stream_id', 'version', 'state_data', 'created_at', 'content_type', 'is_json'],
  orderBy: 'stream_id',
}

const CONSUMERS: readonly StoreTable[] = [
  {
    name: 'annals_consumers',
    columns: ['name', 'filter', 'start', 'partitions', 'lease_seconds', 'max_attempts', 'is_paused', 'created_at'],
    orderBy: 'name',
  },
  // Without leases: whoever held one is not there any more.
  {
    name: 'annals_consumer_partitions',
    columns: ['consumer', 'partition', 'checkpoint'],
    orderBy: 'consumer, partition',
  },
  {
    name: 'annals_consumer_parked',
    columns: ['consumer', 'position', 'partition', 'attempts', 'reason', 'parked_at', 'is_replaying'],
    orderBy: 'consumer, position',
  },
]

export const STORE_TABLES: readonly StoreTable[] = [EVENTS, SNAPSHOTS, ...CONSUMERS]

export interface Column {
  name: string
  /** As PostgreSQL writes it, for instance `bigint`. */
  type: string
}

/**
 * The columns of a table as they are copied: Annals' own in their order, then those that others added. Of consumers'
 * partitions only what outlives a lease.
 */
export async function columnsOf(query: RunQuery, schema: string, table: StoreTable): Promise<Column[]> {
  const { rows } = await query(
    `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
     FROM pg_attribute AS a
     WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     ORDER BY a.attnum`,
    [qualified(schema, table.name)],
  )
  const all = rows as unknown as Column[]
  const own = table.columns.flatMap((name) => all.filter((column) => column.name === name))
  if (CONSUMERS.includes(table)) return own
  return [...own, ...all.filter(({ name }) => !table.columns.includes(name))]
}

/** `"schema"."table"`. */
export const qualified = (schema: string, table: string): string =>
  `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`
