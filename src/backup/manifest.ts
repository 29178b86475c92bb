// manifest.json, beside the files of every backup: what it is, what was in the store, and a hash of each file. It is
// written last, and it is what the catalogue knows, so that a lost database takes no knowledge of its backups along.

import { createHash } from 'node:crypto'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { BackupError } from './backup-error.ts'

export const MANIFEST_FILE = 'manifest.json'
const FORMAT = 1

const SHA256 = '^[0-9a-f]{64}$'
const count = Type.Integer({ minimum: 0 })

/** Names are used as paths below the backup's folder, so they are as narrow as drivers need them. */
const FILE_NAME = '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127}){0,7}$'

/** `backup_YYYYMMDD_HHMMSS`, in UTC. */
export const BACKUP_ID = '^backup_\\d{8}_\\d{6}$'

const ManifestFile = Type.Object({
  name: Type.String({ pattern: FILE_NAME }),
  bytes: count,
  sha256: Type.String({ pattern: SHA256 }),
})
export type ManifestFile = Static<typeof ManifestFile>

const Contents = Type.Object({
  epoch: Type.Union([Type.String(), Type.Null()]),
  /** Last position handed out. */
  head: count,
  events: count,
  snapshots: count,
  /** Of all events, whatever their order: see docs/reference/archive.md. */
  events_digest: Type.String(),
  snapshots_digest: Type.String(),
  /** Highest migration that was applied. */
  migration: count,
})

const Manifest = Type.Object({
  format: Type.Literal(FORMAT),
  id: Type.String({ pattern: BACKUP_ID }),
  type: Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$' }),
  /** RFC 3339 UTC. */
  started_at: Type.String(),
  finished_at: Type.String(),
  annals_version: Type.String(),
  tool: Type.String(),
  postgresql_version: Type.String(),
  database: Type.String(),
  schema: Type.String(),
  /** The backup that this one adds to. */
  base: Type.Union([Type.String({ pattern: BACKUP_ID }), Type.Null()]),
  contents: Type.Union([Contents, Type.Null()]),
  files: Type.Array(ManifestFile),
  details: Type.Record(Type.String(), Type.Unknown()),
})
export type Manifest = Static<typeof Manifest>

/** The manifest as the text of its file. */
export const manifestText = (manifest: Manifest): string => `${JSON.stringify(manifest, null, 2)}\n`

/** Names the text of a manifest, so that two can be told apart. */
export const manifestHash = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Bytes of all files. */
export const bytesOf = (files: readonly ManifestFile[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0)

/** Bytes of a backup: of its files, and of what it added to a repository that is not Annals' own. */
export function sizeOf({ files, details }: Manifest): number {
  const { repository_bytes: elsewhere } = details
  return bytesOf(files) + (typeof elsewhere === 'number' ? elsewhere : 0)
}

/**
 * Reads a manifest that came from outside. Every name in it is safe afterwards.
 * @throws BackupError `damaged`, naming what is wrong
 */
export function readManifest(text: string, where: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new BackupError('damaged', `${where} is not JSON`, { cause })
  }
  const format = (value as { format?: unknown } | null)?.format
  if (typeof format === 'number' && format > FORMAT) {
    throw new BackupError(
      'refused',
      `${where} has format ${format}, which a newer Annals wrote; this one reads ${FORMAT}`,
    )
  }
  refuseNames(value, where)
  const error = Value.Errors(Manifest, value).First()
  if (error !== undefined) {
    throw new BackupError(
      'damaged',
      `${where} is not the manifest of a backup: ${error.path || 'it'}: ${error.message}`,
    )
  }
  const manifest = value as Manifest
  const names = manifest.files.map(({ name }) => name)
  const twin = names.find((name, i) => names.indexOf(name) !== i)
  if (twin !== undefined) throw new BackupError('damaged', `${where} lists ${twin} twice`)
  return manifest
}

function refuseNames(value: unknown, where: string): void {
  const { files } = value as { files?: unknown }
  if (!Array.isArray(files)) return
  const pattern = new RegExp(FILE_NAME)
  for (const { name } of files as { name?: unknown }[]) {
    if (typeof name === 'string' && !pattern.test(name)) {
      throw new BackupError(
        'refused',
        `${where} names the file ${JSON.stringify(name)}, which would lie outside of the backup or is no plain name; nothing was read or written`,
      )
    }
  }
}
