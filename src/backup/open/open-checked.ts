// A backup that has passed levels 0 and 1, which is asked of it before anything is written anywhere.

import { asBackupError, BackupError } from '../backup-error.ts'
import type { Destination } from '../destinations/destination.ts'
import type { BackupDriver, JobContext } from '../driver.ts'
import { driverOf } from '../drivers.ts'
import type { Manifest } from '../manifest.ts'
import { checkFiles } from './check-files.ts'
import { type Chain, openChain } from './open-chain.ts'

export interface Checked extends Chain {
  /** Of the backup that is meant. */
  manifest: Manifest
  driver: BackupDriver
}

/** `level` 0 leaves out the second. @throws BackupError `not_found`, `damaged` */
export async function openChecked(
  destination: Destination,
  id: string,
  context: JobContext,
  level: 0 | 1 = 1,
): Promise<Checked> {
  const chain = await openChain(destination, id, context)
  try {
    const last = chain.backups.at(-1)
    if (last === undefined) throw new BackupError('not_found', `there is no backup ${id}`)
    const driver = driverOf(last.manifest.type)
    for (const backup of chain.backups) await checkFiles(backup, context)
    if (level === 1) await driver.read({ ...context, chain: chain.backups })
    return { ...chain, manifest: last.manifest, driver }
  } catch (error) {
    await chain.release()
    throw asBackupError(error, context.signal)
  }
}
