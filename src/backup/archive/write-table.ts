// One table into files of rows.

import type pg from 'pg'
import { CopyRows } from '../../db/backup/copy-rows.ts'
import { copyOut } from '../../db/backup/copy-table.ts'
import { Digest } from '../../db/backup/digest.ts'
import { columnsOf, type StoreTable } from '../../db/backup/store-tables.ts'
import { BackupError } from '../backup-error.ts'
import type { ManifestFile } from '../manifest.ts'
import type { ArchiveTable } from './archive-details.ts'
import { ChunkWriter } from './chunk-writer.ts'
import type { Codec } from './codec.ts'

export interface WriteTableOptions {
  client: pg.Client
  schema: string
  folder: string
  codec: Codec
  signal: AbortSignal
  /** SQL that a row has to pass. */
  where?: string
  /** Told of the rows so far. */
  onRows(rows: number): void
}

export interface WrittenTable {
  table: ArchiveTable
  files: ManifestFile[]
  rawBytes: number
}

export async function writeTable(table: StoreTable, options: WriteTableOptions): Promise<WrittenTable> {
  const { client, schema, folder, codec, signal } = options
  const columns = await columnsOf((text, values) => client.query(text, values), schema, table)
  const missing = table.columns.find((name, i) => columns[i]?.name !== name)
  if (missing !== undefined) {
    throw new BackupError(
      'refused',
      `${schema}.${table.name} has no column ${missing}: run \`annals migrate up\` first`,
    )
  }
  const digest = new Digest()
  const rows = new CopyRows(table.columns.length, (buffer, start, end) => digest.add(buffer.subarray(start, end)))
  const writer = new ChunkWriter({ folder, table: table.name, codec, signal })
  const copy = {
    columns: columns.map(({ name }) => name),
    isOrdered: true,
    ...(options.where && { where: options.where }),
  }
  for await (const piece of copyOut(client, schema, table, copy)) {
    const before = rows.rows
    const whole = rows.push(piece as Buffer)
    await writer.write(whole, rows.rows - before)
    options.onRows(rows.rows)
    signal.throwIfAborted()
  }
  await writer.finish()
  if (!rows.hasEnded) throw new BackupError('failed', `the rows of ${table.name} broke off`)
  return {
    table: {
      name: table.name,
      columns,
      rows: rows.rows,
      digest: digest.hex,
      files: writer.files.map(({ name, rows }) => ({ name, rows })),
    },
    files: writer.files.map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 })),
    rawBytes: writer.rawBytes,
  }
}
