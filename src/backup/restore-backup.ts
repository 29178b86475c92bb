// Putting a backup back. Everything is checked before the first write.

import { connectToStore, type StoreAddress } from '../db/backup/store-connection.ts'
import { describeRows } from '../db/backup/write-store.ts'
import { Migrator } from '../db/migrator.ts'
import { BackupError } from './backup-error.ts'
import { checkFiles } from './check-files.ts'
import type { Destination } from './destination.ts'
import type { JobContext } from './driver.ts'
import { driverOf } from './drivers.ts'
import type { Manifest } from './manifest.ts'
import { openChain } from './open-chain.ts'
import { asBackupError, runJob } from './run-job.ts'

export interface RestoreOrder {
  id: string
  destination: Destination
  target: StoreAddress
}

/** Into a store without rows, which is made where there is none. @throws BackupError; then the target holds no row */
export async function restoreInto({ id, destination, target }: RestoreOrder, context: JobContext): Promise<Manifest> {
  const chain = await openChain(destination, id, context)
  try {
    const { backups } = chain
    const { manifest } = backups.at(-1) as (typeof backups)[0]
    const driver = driverOf(manifest.type)
    for (const backup of backups) await checkFiles(backup, context)
    await driver.read({ ...context, chain: backups })
    await migrate(target, context)
    await refuseRows(target)
    const definition = { kind: 'restore', backupId: id, request: { mode: 'into' } } as const
    await runJob(target, definition, context, async (context) => {
      await driver.restore({ ...context, chain: backups, target })
      return { result: { ...manifest.contents } }
    })
    return manifest
  } finally {
    await chain.release()
  }
}

async function migrate({ url, schema }: StoreAddress, { log }: JobContext): Promise<void> {
  try {
    await new Migrator({ connectionString: url, schema, log }).up()
  } catch (error) {
    throw asBackupError(error)
  }
}

async function refuseRows(target: StoreAddress): Promise<void> {
  const client = await connectToStore(target, 'restore')
  try {
    const held = await describeRows(client, target.schema)
    if (held.length === 0) return
    throw new BackupError('refused', `the store is not empty: it holds ${held.join(', ')}. Nothing was changed`)
  } finally {
    await client.end()
  }
}
