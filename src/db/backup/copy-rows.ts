// Rows of COPY in PostgreSQL's binary format, as they stream by: where each begins and ends. The format is the same in
// every version that is supported, for the types that the store's tables have.

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
const HEADER_BYTES = SIGNATURE.length + 8
const END_OF_ROWS = -1

/** What stands before the rows: the signature, no flags, no extension. */
export const COPY_HEADER = Buffer.concat([SIGNATURE, Buffer.alloc(8)])
/** What stands after them. */
export const COPY_TRAILER = Buffer.from([0xff, 0xff])

/**
 * Told of each whole row: `buffer` holds its first fields, each with its length in front, from `start` to `end`. The row
 * itself begins two bytes before, with the number of its fields, and goes on to `rowEnd`.
 */
export type OnRow = (buffer: Buffer, start: number, end: number, rowEnd: number) => void

/** What arrived is not COPY in binary format. */
export class CopyFormatError extends Error {
  override name = 'CopyFormatError'
}

/** Finds the rows in what is pushed into it, in pieces of any size. */
export class CopyRows {
  readonly #fields: number
  readonly #onRow: OnRow
  #rest: Buffer = Buffer.alloc(0)
  #hasHeader = false
  #hasEnded = false
  rows = 0

  /** `fields`: how many of each row's fields `onRow` is told of. */
  constructor(fields: number, onRow: OnRow) {
    this.#fields = fields
    this.#onRow = onRow
  }

  /** Whether the mark after the last row has come. */
  get hasEnded(): boolean {
    return this.#hasEnded && this.#rest.length === 0
  }

  /** Answers the bytes of the rows that are whole now, without header and trailer. @throws CopyFormatError */
  push(piece: Buffer): Buffer {
    const buffer = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    const first = this.#hasHeader ? 0 : this.#readHeader(buffer)
    let at = first
    while (!this.#hasEnded && this.#hasHeader && at + 2 <= buffer.length) {
      const fields = buffer.readInt16BE(at)
      if (fields === END_OF_ROWS) {
        this.#hasEnded = true
        this.#rest = buffer.subarray(at + 2)
        return buffer.subarray(first, at)
      }
      if (fields < this.#fields) throw new CopyFormatError('a row has too few fields')
      const told = endOfFields(buffer, at + 2, this.#fields)
      if (told === undefined) break
      const end = endOfFields(buffer, told, fields - this.#fields)
      if (end === undefined) break
      this.#onRow(buffer, at + 2, told, end)
      this.rows++
      at = end
    }
    if (this.#hasEnded && buffer.length > 0) throw new CopyFormatError('something follows after the last row')
    this.#rest = buffer.subarray(at)
    return buffer.subarray(first, at)
  }

  #readHeader(buffer: Buffer): number {
    if (buffer.length < HEADER_BYTES) return 0
    if (!buffer.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw new CopyFormatError('the rows have no header')
    if (buffer.readBigInt64BE(SIGNATURE.length) !== 0n) throw new CopyFormatError('the rows have an unknown header')
    this.#hasHeader = true
    return HEADER_BYTES
  }
}

/** Undefined when they are not all there yet. */
function endOfFields(buffer: Buffer, start: number, fields: number): number | undefined {
  let at = start
  for (let field = 0; field < fields; field++) {
    if (at + 4 > buffer.length) return undefined
    const length = buffer.readInt32BE(at)
    if (length < -1) throw new CopyFormatError('a field has a negative length')
    at += 4 + Math.max(length, 0)
  }
  return at <= buffer.length ? at : undefined
}

/** Field number `index` of a row, without its length; undefined for NULL. */
export function fieldOf(buffer: Buffer, start: number, index: number): Buffer | undefined {
  let at = start
  for (let field = 0; field < index; field++) at += 4 + Math.max(buffer.readInt32BE(at), 0)
  const length = buffer.readInt32BE(at)
  return length === -1 ? undefined : buffer.subarray(at + 4, at + 4 + length)
}
