// Backups in a bucket: `prefix/backup_…/file`, manifest.json last. Every object is read back and hashed before the
// manifest says that it is there.

import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { BackupError } from '../backup-error.ts'
import { checkBackupId, freshId } from '../backup-id.ts'
import type { JobContext } from '../driver.ts'
import { MANIFEST_FILE, type ManifestFile, readManifest, sizeOf } from '../manifest.ts'
import { makeWorkFolder } from '../work-folder.ts'
import type { Destination, FoundBackup, FoundBackups, Staged } from './destination.ts'
import { type S3Access, S3Bucket } from './s3-bucket.ts'

export type { S3Access }

/** `s3://bucket` or `s3://bucket/prefix`. @throws BackupError `refused` */
export function s3Destination(address: string, access: S3Access): Destination {
  const [, name, prefix = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*?))?\/*$/.exec(address) ?? []
  if (name === undefined) {
    throw new BackupError('refused', `${address} is no place in S3; one looks like s3://bucket/prefix`)
  }
  const bucket = new S3Bucket(name, access)
  const root = prefix === '' ? '' : `${prefix}/`
  const keyOf = (id: string, file: string) => `${root}${checkBackupId(id)}/${file}`
  const shown = `s3://${name}${prefix === '' ? '' : `/${prefix}`}`

  const find = async (id: string): Promise<FoundBackup> => {
    const key = keyOf(id, MANIFEST_FILE)
    const text = await bucket.getText(key).catch((cause: unknown) => {
      const isAbsent = cause instanceof BackupError && cause.kind === 'not_found'
      throw isAbsent ? new BackupError('not_found', `there is no backup ${id} in ${shown}`, { cause }) : cause
    })
    const manifest = readManifest(text, `${shown}/${id}/${MANIFEST_FILE}`)
    if (manifest.id !== id)
      throw new BackupError('damaged', `the manifest of ${id} in ${shown} is that of ${manifest.id}`)
    return { manifest, text }
  }

  /** The manifest first: what is broken off is no backup any more. */
  const remove = async (id: string): Promise<void> => {
    await bucket.remove([keyOf(id, MANIFEST_FILE)])
    await bucket.remove(await bucket.list(keyOf(id, ''), 'keys'))
  }

  return {
    name: shown,
    find,
    remove,
    async list() {
      const found: FoundBackups = { backups: [], faults: [] }
      const ids = (await bucket.list(root, 'folders')).filter((each) => each.startsWith('backup_'))
      for (const id of ids.toSorted()) {
        try {
          // What has no manifest was broken off, and is no backup.
          if (await bucket.has(keyOf(id, MANIFEST_FILE))) found.backups.push(await find(id))
        } catch (error) {
          if (!(error instanceof BackupError) || error.kind !== 'damaged') throw error
          found.faults.push(error.message)
        }
      }
      return found
    },
    async stage(): Promise<Staged> {
      const id = await freshId(await bucket.list(root, 'folders'))
      const { folder, release } = await makeWorkFolder()
      let isSent = false
      return {
        id,
        folder,
        async commit(context) {
          isSent = true
          await send(bucket, folder, (file) => keyOf(id, file), context)
          await release()
        },
        async discard() {
          await release()
          if (isSent) await remove(id)
        },
      }
    },
    async open({ manifest }, context) {
      const { folder, release } = await makeWorkFolder()
      try {
        await fetchFiles(bucket, manifest.files, { folder, id: manifest.id, keyOf }, context)
        return { manifest, folder, release }
      } catch (error) {
        await release()
        throw error
      }
    },
  }
}

async function send(bucket: S3Bucket, folder: string, keyOf: (file: string) => string, context: JobContext) {
  const text = await readFile(join(folder, MANIFEST_FILE), 'utf8')
  const { files, id, ...manifest } = readManifest(text, MANIFEST_FILE)
  const total = sizeOf({ files, id, ...manifest })
  let sent = 0
  for (const { name, bytes } of files) {
    await bucket.put(keyOf(name), { file: join(folder, name) }, context.signal, (now) =>
      context.progress({ step: `sending ${id}`, unit: 'bytes', done: sent + now, total }),
    )
    sent += bytes
  }
  let checked = 0
  for (const file of files) {
    await readBack(bucket, keyOf(file.name), file, context, (bytes) => {
      checked += bytes
      context.progress({ step: `reading back ${id}`, unit: 'bytes', done: checked, total })
    })
  }
  await bucket.put(keyOf(MANIFEST_FILE), text, context.signal)
}

async function readBack(
  bucket: S3Bucket,
  key: string,
  { sha256 }: ManifestFile,
  { signal }: JobContext,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const hash = createHash('sha256')
  for await (const piece of await bucket.get(key, signal)) {
    hash.update(piece as Buffer)
    onBytes((piece as Buffer).length)
  }
  if (hash.digest('hex') === sha256) return
  throw new BackupError(
    'damaged',
    `${key} came back from the bucket with other bytes than were sent; nothing of it is left`,
  )
}

interface Fetching {
  folder: string
  id: string
  keyOf(id: string, file: string): string
}

/** Hashes are compared afterwards, as those of any backup. */
async function fetchFiles(
  bucket: S3Bucket,
  files: ManifestFile[],
  { folder, id, keyOf }: Fetching,
  context: JobContext,
) {
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0)
  let done = 0
  for (const { name } of files) {
    const path = join(folder, name)
    await mkdir(dirname(path), { recursive: true })
    const body = await bucket.get(keyOf(id, name), context.signal).catch((cause: unknown) => {
      const isAbsent = cause instanceof BackupError && cause.kind === 'not_found'
      throw isAbsent ? new BackupError('damaged', `${id} lacks the file ${name}`, { cause }) : cause
    })
    body.on('data', (piece: Buffer) => {
      done += piece.length
      context.progress({ step: `fetching ${id}`, unit: 'bytes', done, total })
    })
    await pipeline(body, createWriteStream(path), { signal: context.signal })
  }
}
