// COPY between a table and a stream of bytes, in binary format.

import { type Readable, Transform, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from, to } from 'pg-copy-streams'
import { quoteIdentifier } from '../sql.ts'
import { qualified, type StoreTable } from './store-tables.ts'

// The server goes on sending while a piece is worked on.
const BUFFERED_BYTES = 1024 * 1024

export interface CopyOutOptions {
  columns: readonly string[]
  /** SQL that a row has to pass. */
  where?: string
  /** In the table's order; `readInOrder` (read-store.ts) sees to it for the transaction that nothing is sorted. */
  isOrdered?: boolean
}

/** The table's rows. */
export function copyOut(
  client: pg.Client,
  schema: string,
  table: StoreTable,
  { columns, where = 'true', isOrdered = false }: CopyOutOptions,
): Readable {
  const list = columns.map(quoteIdentifier).join(', ')
  const order = isOrdered ? ` ORDER BY ${table.orderBy}` : ''
  const select = `SELECT ${list} FROM ${qualified(schema, table.name)} WHERE ${where}${order}`
  return client.query(to(`COPY (${select}) TO STDOUT (FORMAT binary)`, { highWaterMark: BUFFERED_BYTES }))
}

/** Takes header, rows and trailer. */
export function copyIn(client: pg.Client, schema: string, table: string, columns: readonly string[]): Writable {
  const list = columns.map(quoteIdentifier).join(', ')
  return client.query(from(`COPY ${qualified(schema, table)} (${list}) FROM STDIN (FORMAT binary)`))
}

export interface CopySource {
  client: pg.Client
  schema: string
  table: StoreTable
  /** Of events those of one stream. */
  stream?: string
}

/** From one table into another one, of another database maybe, with the same columns. */
export async function copyTable(
  { client, schema, table, stream }: CopySource,
  to: { client: pg.Client; schema: string; table: string },
  { columns, signal, onBytes }: { columns: readonly string[]; signal: AbortSignal; onBytes(done: number): void },
): Promise<void> {
  const where = stream === undefined ? {} : { where: `stream_id = ${client.escapeLiteral(stream)}` }
  let done = 0
  const counter = new Transform({
    transform(piece: Buffer, _encoding, next) {
      done += piece.length
      onBytes(done)
      next(null, piece)
    },
  })
  const source = copyOut(client, schema, table, { columns, ...where })
  await pipeline(source, counter, copyIn(to.client, to.schema, to.table, columns), { signal })
}
