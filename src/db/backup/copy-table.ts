// COPY between a table and a stream of bytes, in binary format.

import type { Readable, Writable } from 'node:stream'
import type pg from 'pg'
import { from, to } from 'pg-copy-streams'
import { quoteIdentifier } from '../sql.ts'
import { qualified, type StoreTable } from './store-tables.ts'

/** Rows that `where` lets through, in the table's order. */
export function copyOut(
  client: pg.Client,
  schema: string,
  table: StoreTable,
  columns: readonly string[],
  where = 'true',
): Readable {
  const list = columns.map(quoteIdentifier).join(', ')
  const select = `SELECT ${list} FROM ${qualified(schema, table.name)} WHERE ${where} ORDER BY ${table.orderBy}`
  return client.query(to(`COPY (${select}) TO STDOUT (FORMAT binary)`))
}

/** Takes header, rows and trailer. */
export function copyIn(client: pg.Client, schema: string, table: string, columns: readonly string[]): Writable {
  const list = columns.map(quoteIdentifier).join(', ')
  return client.query(from(`COPY ${qualified(schema, table)} (${list}) FROM STDIN (FORMAT binary)`))
}
