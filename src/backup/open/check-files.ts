// Level 0: whether the files are there, and the same as when they were written.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { BackupError, describeCause } from '../backup-error.ts'
import type { JobContext, OpenBackup } from '../driver.ts'
import { bytesOf, MANIFEST_FILE, type ManifestFile } from '../manifest.ts'

const READ_BYTES = 1024 * 1024

/** Reads every file once. @throws BackupError `damaged`, naming the file */
export async function checkFiles({ manifest, folder }: OpenBackup, context: JobContext): Promise<void> {
  let done = 0
  for (const file of manifest.files) {
    const path = join(folder, file.name)
    const stat = await lstat(path).catch((cause: unknown) => {
      throw new BackupError('damaged', `${manifest.id} lacks the file ${file.name}`, { cause })
    })
    if (!stat.isFile()) throw new BackupError('damaged', `${file.name} of ${manifest.id} is no plain file`)
    if (stat.size !== file.bytes) {
      throw new BackupError(
        'damaged',
        `${file.name} of ${manifest.id} has ${stat.size} bytes, and the manifest says ${file.bytes}`,
      )
    }
    const sha256 = await hashFile(path, context.signal, (bytes) => {
      done += bytes
      context.progress({ step: `checking ${manifest.id}`, unit: 'bytes', done, total: bytesOf(manifest.files) })
    })
    if (sha256 !== file.sha256) {
      throw new BackupError(
        'damaged',
        `${file.name} of ${manifest.id} has changed since it was written: its SHA-256 is ${sha256}, and the manifest says ${file.sha256}`,
      )
    }
  }
}

/** Every file below a folder but the manifest; those that are known already are not read again. */
export async function listFiles(
  folder: string,
  known: readonly ManifestFile[],
  signal: AbortSignal,
): Promise<ManifestFile[]> {
  const files: ManifestFile[] = []
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const name = relative(folder, path).replaceAll('\\', '/')
    if (name === MANIFEST_FILE) continue
    const file = known.find((each) => each.name === name)
    files.push(file ?? { name, bytes: (await lstat(path)).size, sha256: await hashFile(path, signal, () => {}) })
  }
  return files.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

async function hashFile(path: string, signal: AbortSignal, onBytes: (bytes: number) => void): Promise<string> {
  const hash = createHash('sha256')
  try {
    for await (const piece of createReadStream(path, { highWaterMark: READ_BYTES, signal })) {
      hash.update(piece as Buffer)
      onBytes((piece as Buffer).length)
    }
  } catch (cause) {
    signal.throwIfAborted()
    throw new BackupError('damaged', `${path} can't be read: ${describeCause(cause)}`, { cause })
  }
  return hash.digest('hex')
}
