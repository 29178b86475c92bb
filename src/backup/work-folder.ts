// Folders of this machine for backups that are kept elsewhere: filled before they are sent, or brought back to be read.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Below TMPDIR, which has to have room for one backup. */
export async function makeFolder(): Promise<{ folder: string; release(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'annals-backup-'))
  return { folder, release: () => rm(folder, { recursive: true, force: true }) }
}
