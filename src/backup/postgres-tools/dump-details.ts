// A dump's own part of the manifest.

import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { BackupError } from '../backup-error.ts'
import type { OpenBackup } from '../driver.ts'
import type { Manifest } from '../manifest.ts'

const DumpDetails = Type.Object({
  format: Type.Union([Type.Literal('custom'), Type.Literal('plain')]),
  file: Type.String(),
  /** Major version of the program that wrote it: an older one can't read it. */
  tool_major: Type.Integer({ minimum: 15 }),
  /** Of the server's log, when the dump began. */
  lsn: Type.String(),
  /** Rows by table. */
  rows: Type.Record(Type.String(), Type.Integer({ minimum: 0 })),
  /** Tables, constraints, indexes, triggers and functions that have to be there after a restore. */
  objects: Type.Record(Type.String(), Type.String()),
})
export type DumpDetails = Static<typeof DumpDetails>

/** The name tells the format: what is called `.gz` can be tested with `gunzip -t`. */
export const dumpFileName = (id: string, format: 'custom' | 'plain', isGzipped: boolean): string =>
  `${id}.${format === 'custom' ? 'dump' : isGzipped ? 'sql.gz' : 'sql'}`

/** @throws BackupError `damaged` for a manifest that contradicts itself */
export function dumpDetails({ id, details, files }: Manifest): DumpDetails {
  const error = Value.Errors(DumpDetails, details).First()
  if (error !== undefined) {
    throw new BackupError('damaged', `the manifest of ${id} is not that of a dump: ${error.path}: ${error.message}`)
  }
  const dump = details as DumpDetails
  if (files.length === 1 && files[0]?.name === dump.file) return dump
  throw new BackupError('damaged', `the manifest of ${id} lists other files than the dump ${dump.file}`)
}

/** The one backup of a request: dumps do not add to each other. */
export function onlyOne(chain: OpenBackup[]): OpenBackup {
  const [backup] = chain
  if (backup !== undefined && chain.length === 1) return backup
  throw new BackupError('damaged', 'a dump does not add to another backup')
}
