// Putting an archive into a store: one transaction, so that it is there whole and compared, or not at all.

import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { COPY_HEADER, COPY_TRAILER } from '../../db/backup/copy-rows.ts'
import { copyIn } from '../../db/backup/copy-table.ts'
import { LargestEvent } from '../../db/backup/largest-event.ts'
import { connectToStore } from '../../db/backup/store-connection.ts'
import { columnsOf, EVENTS, STORE_TABLES, type StoreTable } from '../../db/backup/store-tables.ts'
import { lockStore, setHead } from '../../db/backup/write-store.ts'
import { BackupError } from '../backup-error.ts'
import { compareContents } from '../compare-contents.ts'
import type { OpenBackup, RestoreRequest } from '../driver.ts'
import { type ArchiveTable, archiveDetails } from './archive-details.ts'
import { readRows } from './read-chunks.ts'

export async function restoreArchive(request: RestoreRequest): Promise<void> {
  const { chain, target, signal } = request
  const last = chain.at(-1) as OpenBackup
  const { contents } = last.manifest
  if (contents === null)
    throw new BackupError('damaged', `the manifest of ${last.manifest.id} says nothing of its contents`)
  const client = await connectToStore(target, 'restore')
  const cut = () => void client.end().catch(() => {})
  signal.addEventListener('abort', cut)
  try {
    await client.query('BEGIN')
    await lockStore(client, target.schema)
    const largest = new LargestEvent()
    for (const table of STORE_TABLES) {
      for (const backup of table === EVENTS ? chain : [last]) {
        await load(client, table, { request, backup, largest })
      }
    }
    await setHead(client, target.schema, { position: contents.head, largestEventBytes: largest.bytes })
    await compareContents(client, target.schema, contents, request)
    await client.query('COMMIT')
  } finally {
    signal.removeEventListener('abort', cut)
    // What was not committed is rolled back with the end of the connection.
    await client.end().catch(() => {})
  }
}

interface Load {
  request: RestoreRequest
  backup: OpenBackup
  largest: LargestEvent
}

async function load(client: pg.Client, table: StoreTable, { request, backup, largest }: Load): Promise<void> {
  const archived = archiveDetails(backup.manifest).tables.find(({ name }) => name === table.name)
  if (archived === undefined || archived.rows === 0) return
  await refuseColumns(client, table, archived, request)
  const columns = archived.columns.map(({ name }) => name)
  let done = 0
  const rows = readRows(backup, archived, {
    fields: table.columns.length,
    onRow: table === EVENTS ? largest.onRow : () => {},
    signal: request.signal,
  })
  async function* bytes() {
    yield COPY_HEADER
    for await (const piece of rows) {
      done += piece.rows
      request.progress({
        ...{
          step: `restoring ${table.name.replace('annals_', '')}`,
          unit: 'events',
          done,
          total: archived?.rows ?? null,
        },
      })
      if (piece.bytes.length > 0) yield piece.bytes
    }
    yield COPY_TRAILER
  }
  await pipeline(
    Readable.from(bytes(), { objectMode: false }),
    copyIn(client, request.target.schema, table.name, columns),
  )
}

/** A table that lacks what was backed up would lose it; a type that differs would change it. */
async function refuseColumns(
  client: pg.Client,
  table: StoreTable,
  { columns }: ArchiveTable,
  { target }: RestoreRequest,
): Promise<void> {
  const there = await columnsOf((text, values) => client.query(text, values), target.schema, table)
  const lacking = columns.filter(({ name, type }) => !there.some((each) => each.name === name && each.type === type))
  if (lacking.length === 0) return
  const list = lacking.map(({ name, type }) => `${name} ${type}`).join(', ')
  throw new BackupError(
    'refused',
    `the backup has columns of ${table.name} that ${target.schema}.${table.name} does not have: ${list}. Add them first`,
  )
}
