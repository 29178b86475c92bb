// A backup with those that it adds to, ready to be read here.

import { BackupError } from '../backup-error.ts'
import type { Destination, FoundBackup } from '../destinations/destination.ts'
import type { JobContext, OpenBackup } from '../driver.ts'

const LONGEST_CHAIN = 1_000

export interface Chain {
  /** Oldest first. */
  backups: OpenBackup[]
  release(): Promise<void>
}

/** Opens them all. @throws BackupError `not_found`, `damaged` */
export async function openChain(destination: Destination, id: string, context: JobContext): Promise<Chain> {
  const found: FoundBackup[] = []
  for (let next: string | null = id; next !== null; ) {
    const backup = await destination.find(next)
    if (found.length === LONGEST_CHAIN || found.some(({ manifest }) => manifest.id === backup.manifest.id)) {
      throw new BackupError('damaged', `the manifest of ${id} leads in a circle of backups that add to each other`)
    }
    found.unshift(backup)
    next = backup.manifest.base
  }
  const opened: (OpenBackup & { release(): Promise<void> })[] = []
  const release = async () => {
    for (const backup of opened) await backup.release()
  }
  try {
    for (const each of found) opened.push(await destination.open(each, context))
    return { backups: opened, release }
  } catch (error) {
    await release()
    throw error
  }
}
