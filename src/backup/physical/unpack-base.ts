// A base backup as a data folder, verified file by file against the manifest that PostgreSQL wrote.

import { createReadStream } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { asBackupError, BackupError } from '../backup-error.ts'
import type { JobContext, OpenBackup } from '../driver.ts'
import { findProgram } from '../postgres-tools/find-program.ts'
import { hasProgramLeft, runProgram } from '../postgres-tools/run-program.ts'
import { baseBackupDetails } from './base-backup-details.ts'

const BASE = 'base.tar.gz'
const WAL = 'pg_wal.tar.gz'
export const PG_MANIFEST = 'backup_manifest'

/** Unpacks into `folder`, which is empty. @throws BackupError `damaged`, with the files that are */
export async function unpackBase(backup: OpenBackup, folder: string, context: JobContext): Promise<void> {
  await mkdir(join(folder, 'pg_wal'), { recursive: true, mode: 0o700 })
  await unpack(join(backup.folder, BASE), folder, context)
  await unpack(join(backup.folder, WAL), join(folder, 'pg_wal'), context)
  await copyFile(join(backup.folder, PG_MANIFEST), join(folder, PG_MANIFEST))
  const { major } = baseBackupDetails(backup.manifest)
  const program = await findProgram('pg_verifybackup', {
    ...{ pgBin: context.pgBin, major, of: 'the backup', isExact: true },
  })
  context.progress({ step: 'pg_verifybackup', unit: 'bytes', done: 0, total: null })
  await runProgram(program, { args: [folder], signal: context.signal }).catch((error: unknown) => {
    const { kind, evidence } = asBackupError(error, context.signal)
    if (kind !== 'failed') throw error
    throw new BackupError('damaged', `pg_verifybackup found ${backup.manifest.id} damaged`, { cause: error, evidence })
  })
}

async function unpack(file: string, folder: string, { signal, progress }: JobContext): Promise<void> {
  const input = new PassThrough()
  let done = 0
  const source = createReadStream(file)
  source.on('data', (piece) => {
    done += piece.length
    progress({ step: 'unpacking', unit: 'bytes', done, total: null })
  })
  const filled = pipeline(source, createGunzip(), input)
  // A broken archive ends the input without its end, which tar would take for a short one.
  filled.catch((error: unknown) => input.destroy(error as Error))
  const tar = { name: 'tar', path: 'tar' }
  const args = ['--extract', '--file=-', `--directory=${folder}`, '--no-same-owner']
  const [read, written] = await Promise.allSettled([filled, runProgram(tar, { args, signal, input })])
  signal.throwIfAborted()
  // tar leaves at the end of the archive, whether or not it has read the zeros behind it.
  const isRead = read.status === 'fulfilled' || hasProgramLeft(read.reason)
  if (!isRead || written.status === 'rejected') {
    const error = isRead ? (written as PromiseRejectedResult).reason : (read as PromiseRejectedResult).reason
    const { message, evidence } = asBackupError(error)
    throw new BackupError('damaged', `${file} can't be unpacked: ${message}`, { cause: error, evidence })
  }
}
