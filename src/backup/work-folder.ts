// Folders below TMPDIR for what is on its way: backups that are sent elsewhere or were brought back, servers that they are
// tried out on. What a killed process left is removed when the next one is made.

import { createHash } from 'node:crypto'
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { isProcessAlive } from '../db/embedded/folder-lock.ts'

/** Containers may share TMPDIR, and number their processes alike: so the machine is part of the name. */
const MACHINE = createHash('sha256').update(hostname()).digest('hex').slice(0, 8)
const NAME = /^annals-backup-([0-9a-f]{8})-(\d+)-/

/** TMPDIR has to have room for one backup. */
export async function makeWorkFolder(): Promise<{ folder: string; release(): Promise<void> }> {
  await removeLeftovers()
  const folder = await mkdtemp(join(tmpdir(), `annals-backup-${MACHINE}-${process.pid}-`))
  return { folder, release: () => rm(folder, { recursive: true, force: true }) }
}

/** Folders of ours whose process is gone. One that can't be removed is no reason to do without a new one. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    const [, machine, pid] = NAME.exec(name) ?? []
    if (machine !== MACHINE) continue
    const folder = join(tmpdir(), name)
    const stat = await lstat(folder).catch(() => undefined)
    if (stat === undefined || !stat.isDirectory() || stat.uid !== process.getuid?.()) continue
    if (isInUse(Number(pid), stat.mtimeMs)) continue
    await rm(folder, { recursive: true, force: true }).catch(() => {})
  }
}

/** A container that was started again has the process id that it had before: then the folder is older than the process. */
function isInUse(pid: number, changedMs: number): boolean {
  if (pid === process.pid) return changedMs >= Date.now() - process.uptime() * 1000
  return isProcessAlive(pid)
}
