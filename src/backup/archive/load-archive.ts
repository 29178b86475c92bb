// The rows of an archive into the tables of a store, all of them or a part.

import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { COPY_HEADER, COPY_TRAILER, fieldOf, type OnRow } from '../../db/backup/copy-rows.ts'
import { copyIn } from '../../db/backup/copy-table.ts'
import { EVENTS, STORE_TABLES, type StoreTable } from '../../db/backup/store-tables.ts'
import type { LoadRequest, OpenBackup } from '../driver.ts'
import { unitOf } from '../progress.ts'
import { refuseColumns } from '../refuse-columns.ts'
import { type ArchiveTable, archiveDetails } from './archive-details.ts'
import { readRows } from './read-chunks.ts'

export async function loadArchive(request: LoadRequest): Promise<void> {
  const { chain, part } = request
  const last = chain.at(-1) as OpenBackup
  for (const table of STORE_TABLES) {
    if (part?.tables !== undefined && !part.tables.includes(table.name)) continue
    // Increments hold the events that are new; everything else is whole in each.
    for (const backup of table === EVENTS ? chain : [last]) await load(table, backup, request)
  }
}

async function load(table: StoreTable, backup: OpenBackup, request: LoadRequest): Promise<void> {
  const archived = archiveDetails(backup.manifest).tables.find(({ name }) => name === table.name)
  if (archived === undefined || archived.rows === 0) return
  const { client, schema, signal, part } = request
  const stream = table === EVENTS ? part?.stream : undefined
  const into = stream?.into ?? table.name
  await refuseColumns({ into, table, columns: archived.columns }, request)
  const picker = stream && new StreamPicker(stream.id)
  const fields = table.columns.length
  const rows = readRows(backup, archived, { fields, onRow: picker?.onRow ?? (() => {}), signal })
  async function* bytes() {
    let done = 0
    yield COPY_HEADER
    for await (const piece of rows) {
      done += piece.rows
      const step = `restoring ${table.name.replace('annals_', '')}`
      request.progress({ step, unit: unitOf(table.name), done, total: (archived as ArchiveTable).rows })
      const wanted = picker === undefined ? piece.bytes : picker.take()
      if (wanted.length > 0) yield wanted
    }
    yield COPY_TRAILER
  }
  const columns = archived.columns.map(({ name }) => name)
  await pipeline(Readable.from(bytes(), { objectMode: false }), copyIn(client, schema, into, columns))
}

/** Keeps the rows of one stream. */
class StreamPicker {
  readonly #stream: Buffer
  #picked: Buffer[] = []

  constructor(stream: string) {
    this.#stream = Buffer.from(stream)
  }

  readonly onRow: OnRow = (buffer, start, _end, rowEnd) => {
    if (fieldOf(buffer, start, EVENTS.columns.indexOf('stream_id'))?.equals(this.#stream)) {
      this.#picked.push(buffer.subarray(start - 2, rowEnd))
    }
  }

  take(): Buffer {
    const picked = Buffer.concat(this.#picked)
    this.#picked = []
    return picked
  }
}
