// Making an archive: every table through COPY in one snapshot, so that it shows one moment, whatever is stored meanwhile.

import { Digest } from '../../db/backup/digest.ts'
import { readHead, readInOrder, type StoreHead } from '../../db/backup/read-store.ts'
import type { StoreContents } from '../../db/backup/store-contents.ts'
import { EVENTS, SNAPSHOTS, STORE_TABLES } from '../../db/backup/store-tables.ts'
import { VERSION } from '../../version.ts'
import { BackupError } from '../backup-error.ts'
import type { CreateRequest, CreateResult } from '../driver.ts'
import type { Manifest } from '../manifest.ts'
import { inOwnTransaction } from '../own-transaction.ts'
import { unitOf } from '../progress.ts'
import type { ArchiveDetails, ArchiveTable } from './archive-details.ts'
import { CODEC } from './codec.ts'
import { type WrittenTable, writeTable } from './write-table.ts'

export async function writeArchive(request: CreateRequest): Promise<CreateResult> {
  const { source, folder, signal, bases } = request
  const base = bases.at(-1)?.manifest
  const after = base?.contents?.head ?? 0
  const how = { purpose: 'backup', mode: 'snapshot', signal } as const
  const { head, written } = await inOwnTransaction(source, how, async (client) => {
    await readInOrder(client)
    const head = await readHead(client, source.schema)
    if (base !== undefined) refuseBase(base, head)
    const written: WrittenTable[] = []
    for (const table of STORE_TABLES) {
      const total = table === EVENTS ? head.head - after : null
      const step = `copying ${table.name.replace('annals_', '')}`
      written.push(
        await writeTable(table, {
          client,
          schema: source.schema,
          folder,
          codec: CODEC,
          signal,
          ...(table === EVENTS && { where: `position > ${after}` }),
          onRows: (done) => request.progress({ step, unit: unitOf(table.name), done, total }),
        }),
      )
    }
    return { head, written }
  })
  const details: ArchiveDetails = {
    codec: CODEC,
    after_position: after,
    raw_bytes: written.reduce((sum, { rawBytes }) => sum + rawBytes, 0),
    tables: written.map(({ table }) => table),
  }
  return {
    tool: `Annals ${VERSION}`,
    contents: contentsOf(head, details, base?.contents ?? null),
    files: written.flatMap(({ files }) => files),
    details: { ...details },
  }
}

/** What is in the store: what the base had, and what is new. */
function contentsOf(
  { head, epoch, migration }: StoreHead,
  { tables }: ArchiveDetails,
  base: StoreContents | null,
): StoreContents {
  const tableOf = ({ name }: { name: string }) => tables.find((each) => each.name === name) as ArchiveTable
  const [events, snapshots] = [tableOf(EVENTS), tableOf(SNAPSHOTS)]
  const digest = new Digest()
  digest.addHex(events.digest)
  if (base !== null) digest.addHex(base.events_digest)
  return {
    ...{ epoch, head, migration },
    events: events.rows + (base?.events ?? 0),
    snapshots: snapshots.rows,
    events_digest: digest.hex,
    snapshots_digest: snapshots.digest,
  }
}

/** An increment is exact because positions are contiguous and nothing before them changes: in the same history only. */
function refuseBase({ id, contents }: Manifest, { epoch, head }: StoreHead): void {
  if (contents?.epoch === epoch && contents.head <= head) return
  throw new BackupError(
    'refused',
    `the store is not the one that ${id} was taken from, or went back since: take a whole backup`,
  )
}
