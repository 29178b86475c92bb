// A backup out of which the tables of a store can be filled: an archive as it is, and a dump by way of a scratch database, into
// which it is restored and compared first.

import { copyTable } from '../../db/backup/copy-table.ts'
import { createScratch } from '../../db/backup/scratch.ts'
import { connectToStore, type StoreAddress } from '../../db/backup/store-connection.ts'
import type { StoreContents } from '../../db/backup/store-contents.ts'
import { columnsOf, EVENTS, STORE_TABLES } from '../../db/backup/store-tables.ts'
import { BackupError, describeCause } from '../backup-error.ts'
import type { JobContext, LoadRequest } from '../driver.ts'
import type { Checked } from '../open/open-checked.ts'
import { refuseColumns } from '../refuse-columns.ts'
import type { TableGroup } from '../table-groups.ts'
import { prepareInto, restoreInto } from './restore-into.ts'

export interface Loadable extends Checked {
  contents: StoreContents
  load(request: LoadRequest): Promise<void>
}

export interface LoadNeed {
  /** On whose server the scratch database is made. */
  target: StoreAddress
  groups: readonly TableGroup[]
}

/** @throws BackupError `refused` before anything is done, when the backup does not have what is needed */
export async function withLoadable<T>(
  checked: Checked,
  { target, groups }: LoadNeed,
  context: JobContext,
  work: (loadable: Loadable) => Promise<T>,
): Promise<T> {
  const { driver, manifest } = checked
  const { contents } = manifest
  if (driver.load !== undefined && contents !== null) return work({ ...checked, contents, load: driver.load })
  if (driver.restore === undefined || contents === null) throw noStore(checked)
  refuseMissing(checked, groups)
  const made = await createScratch(target, { mayBeSchema: false }).catch((cause: unknown) => {
    throw new BackupError('refused', `a dump is restored into a scratch database first: ${describeCause(cause)}`, {
      cause,
    })
  })
  try {
    const scratch = { ...made.address, schema: manifest.schema }
    const into = { target: scratch, isForced: false }
    const quiet = { ...context, log: () => {} }
    await prepareInto(checked, into, quiet)
    await restoreInto(checked, into, quiet)
    return await work({ ...checked, contents, load: (request) => copyFrom(scratch, request) })
  } finally {
    await made.drop()
  }
}

function noStore({ driver, manifest }: Checked): BackupError {
  const instead =
    driver.restore === undefined
      ? 'bring it back into a new data folder by `annals restore pitr`, make an archive of that, and restore the archive'
      : 'restore it into an empty database by --mode into'
  return new BackupError(
    'refused',
    `${manifest.id} is of type ${driver.type}, which can't be put into a store in use: ${instead}`,
  )
}

function refuseMissing({ driver, manifest }: Checked, groups: readonly TableGroup[]): void {
  const holds = driver.holds ?? []
  const missing = groups.filter((group) => !holds.includes(group))
  if (missing.length === 0) return
  throw new BackupError(
    'refused',
    `${manifest.id} is of type ${driver.type} and has no ${missing.join(' and no ')}: put back what it has by --mode tables --tables ${holds.join(',')}`,
  )
}

/** Each table by COPY, from one database into the other. */
async function copyFrom(scratch: StoreAddress, request: LoadRequest): Promise<void> {
  const { client: to, schema, part, signal, progress } = request
  const from = await connectToStore(scratch, 'restore')
  try {
    for (const table of STORE_TABLES) {
      if (part?.tables !== undefined && !part.tables.includes(table.name)) continue
      const stream = table === EVENTS ? part?.stream : undefined
      const into = stream?.into ?? table.name
      const columns = await columnsOf((text, values) => from.query(text, values), scratch.schema, table)
      await refuseColumns({ into, table, columns }, request)
      await copyTable(
        { client: from, schema: scratch.schema, table, ...(stream && { stream: stream.id }) },
        { client: to, schema, table: into },
        {
          ...{ columns: columns.map(({ name }) => name), signal },
          onBytes: (done) =>
            progress({ step: `restoring ${table.name.replace('annals_', '')}`, unit: 'bytes', done, total: null }),
        },
      )
    }
  } finally {
    await from.end().catch(() => {})
  }
}
