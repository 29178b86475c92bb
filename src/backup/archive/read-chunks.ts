// The rows of an archive's files as they lie there, checked against the manifest while they stream by.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CopyFormatError, CopyRows, type OnRow } from '../../db/backup/copy-rows.ts'
import { BackupError, describeCause } from '../backup-error.ts'
import type { OpenBackup } from '../driver.ts'
import { type ArchiveTable, archiveDetails } from './archive-details.ts'
import { decompressor } from './codec.ts'

const READ_BYTES = 256 * 1024

/**
 * Pieces of the table's rows, without headers and trailers; `onRow` is told of Annals' own columns of each.
 * @throws BackupError `damaged` when hash, number of rows or format are not as the manifest says
 */
export async function* readRows(
  { folder, manifest }: OpenBackup,
  table: ArchiveTable,
  options: { fields: number; onRow: OnRow; signal: AbortSignal },
): AsyncGenerator<{ bytes: Buffer; rows: number }> {
  const { codec } = archiveDetails(manifest)
  for (const file of table.files) {
    const expected = manifest.files.find(({ name }) => name === file.name)
    const where = `${file.name} of ${manifest.id}`
    const hash = createHash('sha256')
    const hashing = new Transform({
      transform(piece: Buffer, _encoding, done) {
        hash.update(piece)
        done(null, piece)
      },
    })
    const out = new PassThrough({ highWaterMark: READ_BYTES })
    const source = createReadStream(join(folder, file.name), { highWaterMark: READ_BYTES })
    const done = pipeline([source, hashing, decompressor(codec), out], { signal: options.signal })
    done.catch(() => {})
    const rows = new CopyRows(options.fields, options.onRow)
    try {
      for await (const piece of out) {
        const before = rows.rows
        const bytes = rows.push(piece as Buffer)
        yield { bytes, rows: rows.rows - before }
      }
      await done
    } catch (error) {
      options.signal.throwIfAborted()
      if (error instanceof CopyFormatError || isReadFault(error)) {
        throw new BackupError('damaged', `${where} can't be read: ${describeCause(error)}`, { cause: error })
      }
      throw error
    }
    if (!rows.hasEnded) throw new BackupError('damaged', `${where} breaks off after ${rows.rows} rows`)
    if (rows.rows !== file.rows) {
      throw new BackupError('damaged', `${where} holds ${rows.rows} rows, and the manifest says ${file.rows}`)
    }
    if (hash.digest('hex') !== expected?.sha256) {
      throw new BackupError('damaged', `${where} is not the file that was written: its SHA-256 is another one`)
    }
  }
}

// What the file system and the decompressor say.
const isReadFault = (error: unknown): boolean => typeof (error as { code?: unknown }).code === 'string'
