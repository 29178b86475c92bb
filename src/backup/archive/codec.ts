// Compression of the archive: zstd where this Node.js has it, else gzip.

import type { Transform } from 'node:stream'
import zlib from 'node:zlib'
import { BackupError } from '../backup-error.ts'

export type Codec = 'zstd' | 'gzip'

/** From Node.js 22.15 and 23.8 on. */
interface Zstd {
  createZstdCompress?(): Transform
  createZstdDecompress?(): Transform
}
const { createZstdCompress, createZstdDecompress } = zlib as unknown as Zstd

export const CODEC: Codec = createZstdCompress === undefined ? 'gzip' : 'zstd'
export const SUFFIX: Readonly<Record<Codec, string>> = { zstd: '.zst', gzip: '.gz' }

// Level 1: half the time of the usual level 6, and a tenth more bytes.
export const compressor = (codec: Codec): Transform =>
  codec === 'zstd' && createZstdCompress !== undefined ? createZstdCompress() : zlib.createGzip({ level: 1 })

/** @throws BackupError `refused` where this Node.js can't read it */
export function decompressor(codec: Codec): Transform {
  if (codec === 'gzip') return zlib.createGunzip()
  if (createZstdDecompress !== undefined) return createZstdDecompress()
  throw new BackupError(
    'refused',
    `the archive is compressed with zstd, which Node.js ${process.versions.node} can't read: use Node.js 22.15 or newer`,
  )
}
