// Level 1: an archive read to its end without a server, and compared with what its manifest says.

import { Digest } from '../../db/backup/digest.ts'
import { EVENTS, SNAPSHOTS, STORE_TABLES } from '../../db/backup/store-tables.ts'
import { BackupError } from '../backup-error.ts'
import type { OpenBackup, ReadRequest } from '../driver.ts'
import { unitOf } from '../progress.ts'
import { type ArchiveTable, archiveDetails } from './archive-details.ts'
import { readRows } from './read-chunks.ts'

export async function readArchive(request: ReadRequest): Promise<void> {
  let before: OpenBackup | undefined
  for (const backup of request.chain) {
    checkLink(backup, before)
    for (const table of archiveDetails(backup.manifest).tables) await readTable(backup, table, request)
    checkContents(backup, before)
    before = backup
  }
}

/** @throws BackupError `damaged` when an archive does not begin where the one before it ends */
function checkLink({ manifest }: OpenBackup, before: OpenBackup | undefined): void {
  const { id, base } = manifest
  const after = archiveDetails(manifest).after_position
  if (base !== (before?.manifest.id ?? null) || after !== (before?.manifest.contents?.head ?? 0)) {
    throw new BackupError(
      'damaged',
      `${id} says that it begins after position ${after}, where ${base ?? 'nothing'} does not end`,
    )
  }
}

async function readTable(backup: OpenBackup, table: ArchiveTable, request: ReadRequest): Promise<void> {
  const { signal } = request
  const known = STORE_TABLES.find(({ name }) => name === table.name)
  const fields = known?.columns.length ?? 0
  const digest = new Digest()
  const onRow = (buffer: Buffer, start: number, end: number) => digest.add(buffer.subarray(start, end))
  let rows = 0
  for await (const piece of readRows(backup, table, { fields, onRow, signal })) {
    rows += piece.rows
    const step = `reading ${table.name.replace('annals_', '')} of ${backup.manifest.id}`
    request.progress({ step, unit: unitOf(table.name), done: rows, total: table.rows })
  }
  if (rows !== table.rows || digest.hex !== table.digest) {
    throw new BackupError(
      'damaged',
      `the rows of ${table.name} in ${backup.manifest.id} are not those that the manifest describes (${rows} of ${table.rows})`,
    )
  }
}

/** @throws BackupError `damaged` when what the manifest says about the store is not what its tables add up to */
function checkContents({ manifest }: OpenBackup, before: OpenBackup | undefined): void {
  const { id, contents } = manifest
  const { tables } = archiveDetails(manifest)
  const [events, snapshots] = [EVENTS, SNAPSHOTS].map(({ name }) => tables.find((table) => table.name === name))
  const sum = new Digest()
  for (const part of [before?.manifest.contents?.events_digest, events?.digest])
    if (part !== undefined) sum.addHex(part)
  const isTrue =
    contents !== null &&
    contents.events === (events?.rows ?? 0) + (before?.manifest.contents?.events ?? 0) &&
    contents.events <= contents.head &&
    contents.events_digest === sum.hex &&
    contents.snapshots === snapshots?.rows &&
    contents.snapshots_digest === snapshots.digest
  if (!isTrue)
    throw new BackupError(
      'damaged',
      `the manifest of ${id} contradicts itself: its tables do not add up to its contents`,
    )
}
