// Backups in a folder of this machine. A backup is filled under a hidden name and renamed when it is whole, so that a
// folder without a dot in front is a backup that was finished.

import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeFolders } from '../../make-folders.ts'
import { BackupError, describeCause } from '../backup-error.ts'
import { backupIdOf, checkBackupId } from '../backup-id.ts'
import { MANIFEST_FILE, readManifest } from '../manifest.ts'
import type { Destination, FoundBackup, FoundBackups, Staged } from './destination.ts'

const NAME_ATTEMPTS = 30
/** What a killed process was at. */
const LEFTOVER = /^\.backup_\d{8}_\d{6}\.(partial|removing)$/
/** Who still works on one writes more often. */
const LEFTOVER_MS = 24 * 3_600_000

export function folderDestination(path: string): Destination {
  const root = resolve(path)
  const folderOf = (id: string) => join(root, checkBackupId(id))
  const find = async (id: string): Promise<FoundBackup> => {
    const file = join(folderOf(id), MANIFEST_FILE)
    const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') throw new BackupError('not_found', `there is no backup ${id} in ${root}`)
      throw new BackupError('damaged', `${file} can't be read: ${describeCause(cause)}`, { cause })
    })
    const manifest = readManifest(text, file)
    if (manifest.id !== id) throw new BackupError('damaged', `${file} is the manifest of ${manifest.id}, not of ${id}`)
    return { manifest, text }
  }
  return {
    name: root,
    find,
    stage: () => stage(root),
    list: () => list(root, find),
    open: async ({ manifest }) => ({ manifest, folder: folderOf(manifest.id), release: async () => {} }),
    async remove(id) {
      const removing = join(root, `.${checkBackupId(id)}.removing`)
      await rename(folderOf(id), removing)
      await rm(removing, { recursive: true })
    },
  }
}

/** Ids have seconds, so of two that begin in one second the other takes the next. */
async function stage(root: string): Promise<Staged> {
  try {
    makeFolders(root)
    await removeLeftovers(root)
  } catch (cause) {
    throw unwritable(root, cause)
  }
  for (let attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
    const id = backupIdOf(new Date())
    const folder = join(root, `.${id}.partial`)
    try {
      await mkdir(folder, { mode: 0o700 })
      const names = await readdir(root)
      if (!names.includes(id)) return staged(root, id, folder)
      await rm(folder, { recursive: true })
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw unwritable(root, cause)
    }
    await sleep(200)
  }
  throw new BackupError('refused', `no name could be had in ${root}`)
}

async function removeLeftovers(root: string): Promise<void> {
  for (const name of (await readdir(root)).filter((each) => LEFTOVER.test(each))) {
    const folder = join(root, name)
    const files = await readdir(folder, { recursive: true }).catch(() => [])
    const stats = await Promise.all(['.', ...files].map((file) => stat(join(folder, file)).catch(() => undefined)))
    const newest = Math.max(...stats.map((each) => each?.mtimeMs ?? Date.now()))
    // One that can't be removed is no reason to make no backup.
    if (Date.now() - newest > LEFTOVER_MS) await rm(folder, { recursive: true, force: true }).catch(() => {})
  }
}

const unwritable = (root: string, cause: unknown): BackupError =>
  new BackupError('refused', `${root} can't be written: ${describeCause(cause)}`, { cause })

const staged = (root: string, id: string, folder: string): Staged => ({
  id,
  folder,
  async commit() {
    await syncTree(folder)
    await rename(folder, join(root, id))
    await syncOne(root)
  },
  discard: () => rm(folder, { recursive: true, force: true }),
})

async function list(root: string, find: (id: string) => Promise<FoundBackup>): Promise<FoundBackups> {
  const names = await readdir(root).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return []
    throw new BackupError('refused', `${root} can't be read: ${describeCause(cause)}`, { cause })
  })
  const found: FoundBackups = { backups: [], faults: [] }
  for (const name of names.filter((each) => each.startsWith('backup_')).toSorted()) {
    try {
      found.backups.push(await find(name))
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      found.faults.push(error.message)
    }
  }
  return found
}

/** Every file and folder is on the disk before the name says that it is whole. */
async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    await syncOne(join(entry.parentPath, entry.name))
  }
  await syncOne(folder)
}

async function syncOne(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
