// What `pgbackrest info --output=json` tells. It ends with 0 whatever it found: the status says whether there is a stanza.

import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { BackupError } from '../backup-error.ts'

const Backup = Type.Object({
  /** For instance `20261126-061700F_20261126-061800I`. */
  label: Type.String(),
  type: Type.Union([Type.Literal('full'), Type.Literal('diff'), Type.Literal('incr')]),
  /** True when pages were found whose checksums are wrong. */
  error: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
  /** Names of the first and the last file of the log that it needs. */
  archive: Type.Object({ start: Type.String(), stop: Type.String() }),
  lsn: Type.Object({ start: Type.String(), stop: Type.String() }),
  info: Type.Object({ repository: Type.Object({ delta: Type.Integer({ minimum: 0 }) }) }),
})
export type PgbackrestBackup = Static<typeof Backup>

const Stanza = Type.Object({
  status: Type.Object({ code: Type.Integer(), message: Type.String() }),
  backup: Type.Array(Backup),
})

export interface PgbackrestInfo {
  hasStanza: boolean
  /** System identifiers of the clusters that it is for: one, with others that were upgraded to it. */
  systems: string[]
  /** Oldest first. */
  backups: PgbackrestBackup[]
}

const NO_STANZA: PgbackrestInfo = { hasStanza: false, systems: [], backups: [] }
const [OK, NO_BACKUPS] = [0, 2]
const [MISSING_PATH, MISSING_DATA] = [1, 3]

/** @throws BackupError `failed` for what is no such answer, or tells of a repository that can't be used */
export function readInfo(text: string): PgbackrestInfo {
  const stanza: unknown = parse(text)[0]
  // Nothing at all is what it says of a repository without any stanza.
  if (stanza === undefined) return NO_STANZA
  const error = Value.Errors(Stanza, stanza).First()
  if (error !== undefined) throw unreadable(`${error.path}: ${error.message}`)
  const { status, backup } = stanza as Static<typeof Stanza>
  if (status.code === MISSING_PATH || status.code === MISSING_DATA) return NO_STANZA
  if (status.code === OK || status.code === NO_BACKUPS) {
    // Numbers of 64 bits, which would not survive being parsed.
    const systems = [...text.matchAll(/"system-id":(\d+)/g)].map(([, id]) => id as string)
    return { hasStanza: true, systems, backups: backup }
  }
  throw new BackupError('failed', `pgBackRest can't use its repository: ${status.message}`)
}

function parse(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text)
    if (Array.isArray(value)) return value
  } catch {
    // Told below.
  }
  throw unreadable(JSON.stringify(text.slice(0, 200)))
}

const unreadable = (why: string) => new BackupError('failed', `what pgbackrest info says can't be read: ${why}`)
