// Files of rows, each of which PostgreSQL's COPY could load by itself once it is decompressed.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { COPY_HEADER, COPY_TRAILER } from '../../db/backup/copy-rows.ts'
import type { ManifestFile } from '../manifest.ts'
import { type Codec, compressor, SUFFIX } from './codec.ts'

/** Of a file before compression: few enough files for millions of events, small enough to be sent again when one fails. */
const CHUNK_BYTES = 64 * 1024 * 1024

interface OpenChunk {
  input: Transform
  rows: number
  bytes: number
  done: Promise<ManifestFile>
}

export class ChunkWriter {
  readonly #folder: string
  readonly #table: string
  readonly #codec: Codec
  readonly #signal: AbortSignal
  #open: OpenChunk | undefined
  rawBytes = 0
  readonly files: (ManifestFile & { rows: number })[] = []

  constructor(options: { folder: string; table: string; codec: Codec; signal: AbortSignal }) {
    this.#folder = options.folder
    this.#table = options.table
    this.#codec = options.codec
    this.#signal = options.signal
  }

  /** Takes whole rows; resolves when there is room for more. */
  async write(bytes: Buffer, rows: number): Promise<void> {
    if (bytes.length === 0) return
    const chunk = (this.#open ??= this.#begin())
    chunk.rows += rows
    chunk.bytes += bytes.length
    this.rawBytes += bytes.length
    if (!chunk.input.write(bytes)) await Promise.race([once(chunk.input, 'drain'), chunk.done])
    if (chunk.bytes >= CHUNK_BYTES) await this.#end()
  }

  /** Resolves when all files are written. A table without rows has none. */
  finish(): Promise<void> {
    return this.#end()
  }

  #begin(): OpenChunk {
    const name = `${this.#table}-${String(this.files.length + 1).padStart(5, '0')}.copy${SUFFIX[this.#codec]}`
    const input = compressor(this.#codec)
    const hash = createHash('sha256')
    let bytes = 0
    const hashing = new Transform({
      transform(piece: Buffer, _encoding, done) {
        hash.update(piece)
        bytes += piece.length
        done(null, piece)
      },
    })
    const file = createWriteStream(join(this.#folder, name), { flags: 'wx' })
    const done = pipeline([input, hashing, file], { signal: this.#signal }).then(() => ({
      name,
      bytes,
      sha256: hash.digest('hex'),
    }))
    done.catch(() => {})
    input.write(COPY_HEADER)
    return { input, rows: 0, bytes: 0, done }
  }

  async #end(): Promise<void> {
    const chunk = this.#open
    if (chunk === undefined) return
    this.#open = undefined
    chunk.input.end(COPY_TRAILER)
    this.files.push({ ...(await chunk.done), rows: chunk.rows })
  }
}
