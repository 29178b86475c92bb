// Compression of the archive: zstd where this Node.js has it, else gzip.

import type { Transform } from 'node:stream'
import zlib from 'node:zlib'
import { BackupError } from '../backup-error.ts'

export type Codec = 'zstd' | 'gzip'

// Rows arrive while a piece is being compressed on another thread: what waits for it must be more than one piece.
const BUFFERED_BYTES = 4 * 1024 * 1024
const buffers = { chunkSize: 256 * 1024, highWaterMark: BUFFERED_BYTES }

/** From Node.js 22.15 and 23.8 on. */
interface Zstd {
  createZstdCompress?(options: typeof buffers): Transform
  createZstdDecompress?(options: typeof buffers): Transform
}
const { createZstdCompress, createZstdDecompress } = zlib as unknown as Zstd

export const CODEC: Codec = createZstdCompress === undefined ? 'gzip' : 'zstd'
export const SUFFIX: Readonly<Record<Codec, string>> = { zstd: '.zst', gzip: '.gz' }

// Level 1 of gzip takes half the time of the usual 6, and a tenth more bytes.
export const compressor = (codec: Codec): Transform =>
  codec === 'zstd' && createZstdCompress !== undefined
    ? createZstdCompress(buffers)
    : zlib.createGzip({ ...buffers, level: 1, memLevel: 9 })

/** @throws BackupError `refused` where this Node.js can't read it */
export function decompressor(codec: Codec): Transform {
  if (codec === 'gzip') return zlib.createGunzip(buffers)
  if (createZstdDecompress !== undefined) return createZstdDecompress(buffers)
  throw new BackupError(
    'refused',
    `the archive is compressed with zstd, which Node.js ${process.versions.node} can't read: use Node.js 22.15 or newer`,
  )
}
