// The archive's own part of the manifest.

import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { STORE_TABLES } from '../../db/backup/store-tables.ts'
import { BackupError } from '../backup-error.ts'
import type { Manifest } from '../manifest.ts'

const count = Type.Integer({ minimum: 0 })

const ArchiveTable = Type.Object({
  name: Type.String(),
  columns: Type.Array(Type.Object({ name: Type.String({ minLength: 1 }), type: Type.String({ minLength: 1 }) })),
  rows: count,
  /** Of the rows with Annals' own columns. */
  digest: Type.String({ pattern: '^[0-9a-f]{32}$' }),
  files: Type.Array(Type.Object({ name: Type.String(), rows: count })),
})
export type ArchiveTable = Static<typeof ArchiveTable>

const ArchiveDetails = Type.Object({
  codec: Type.Union([Type.Literal('zstd'), Type.Literal('gzip')]),
  /** Events after this position are in here. */
  after_position: count,
  /** Bytes before compression. */
  raw_bytes: count,
  tables: Type.Array(ArchiveTable),
})
export type ArchiveDetails = Static<typeof ArchiveDetails>

/** @throws BackupError `damaged` for a manifest that contradicts itself */
export function archiveDetails({ id, details, files }: Manifest): ArchiveDetails {
  const error = Value.Errors(ArchiveDetails, details).First()
  if (error !== undefined) {
    throw new BackupError('damaged', `the manifest of ${id} is not that of an archive: ${error.path}: ${error.message}`)
  }
  const archive = details as ArchiveDetails
  const listed = new Set(files.map(({ name }) => name))
  for (const table of archive.tables) {
    if (!STORE_TABLES.some(({ name }) => name === table.name)) {
      throw new BackupError('damaged', `the manifest of ${id} names the table ${table.name}, which no store has`)
    }
    const missing = table.files.find(({ name }) => !listed.has(name))
    if (missing !== undefined) {
      throw new BackupError('damaged', `the manifest of ${id} names ${missing.name} without size and hash`)
    }
  }
  return archive
}
