// Pieces of JSON written as bytes into one growing buffer, so that stored bytes pass through without becoming text.

import { isAscii } from 'node:buffer'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const ZERO = 0x30
const DASH = 0x2d
const LETTER_Z = 0x5a
const HEX = Buffer.from('0123456789abcdef')
/** Below this a loop is faster than the call into the runtime. */
const SHORT = 48
/** By Unix time. Only years of four digits have a form in RFC 3339. */
const SECOND_OF_2000 = 946_684_800
const FIRST_SECOND = Date.parse('0001-01-01T00:00:00Z') / 1000
const LAST_SECOND = Date.parse('9999-12-31T23:59:59Z') / 1000

/** Bytes that never change, such as the names of members. */
export const fragment = (text: string): Uint8Array => Buffer.from(text)

/** More was to be written than there may be. */
export class TooManyBytesError extends Error {
  override name = 'TooManyBytesError'
}

export class JsonBytes {
  readonly #mostBytes: number
  #buffer: Buffer
  #pos = 0
  #second = Number.NaN
  #secondText = Buffer.alloc(0)

  constructor(expectedBytes: number, mostBytes = Number.POSITIVE_INFINITY) {
    this.#mostBytes = mostBytes
    this.#buffer = Buffer.allocUnsafeSlow(expectedBytes)
  }

  /** What was written so far; not valid any more when something else is written. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#pos)
  }

  /** What was written so far; begins anew. ASCII comes as text, which costs less to make and to send than bytes. */
  take(): string | Buffer {
    const bytes = this.bytes()
    this.#pos = 0
    return isAscii(bytes) ? bytes.toString('latin1') : Buffer.from(bytes)
  }

  /** How many bytes there is room for. */
  get capacity(): number {
    return this.#buffer.length
  }

  fragment(bytes: Uint8Array): void {
    const { length } = bytes
    this.#reserve(length)
    const buffer = this.#buffer
    const pos = this.#pos
    for (let i = 0; i < length; i++) buffer[pos + i] = bytes[i] as number
    this.#pos = pos + length
  }

  /** Bytes `start` to `end` of `source`, as they are. */
  copy(source: Buffer, start: number, end: number): void {
    this.#reserve(end - start)
    const buffer = this.#buffer
    const pos = this.#pos
    if (end - start > SHORT) source.copy(buffer, pos, start, end)
    else for (let i = start; i < end; i++) buffer[pos + i - start] = source[i] as number
    this.#pos = pos + end - start
  }

  /** Bytes `start` to `end` of `source`, which are UTF-8 text, as a JSON string. */
  string(source: Buffer, start: number, end: number): void {
    for (let i = start; i < end; i++) {
      const byte = source[i] as number
      if (byte < 0x20 || byte === QUOTE || byte === BACKSLASH) {
        return this.fragment(Buffer.from(JSON.stringify(source.toString('utf8', start, end))))
      }
    }
    this.#reserve(end - start + 2)
    this.#buffer[this.#pos++] = QUOTE
    this.copy(source, start, end)
    this.#buffer[this.#pos++] = QUOTE
  }

  /** Bytes `start` to `end` of `source` in base64, without quotes. */
  base64(source: Buffer, start: number, end: number): void {
    this.fragment(Buffer.from(source.toString('base64', start, end)))
  }

  /** A whole number from 0 to 2^53. */
  integer(value: number): void {
    let digits = 1
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++
    this.#digits(value, digits)
  }

  #digits(value: number, digits: number): void {
    this.#reserve(digits)
    const buffer = this.#buffer
    const start = this.#pos
    let rest = value
    for (let pos = start + digits - 1; pos >= start; pos--) {
      const tenth = Math.floor(rest / 10)
      buffer[pos] = ZERO + rest - tenth * 10
      rest = tenth
    }
    this.#pos = start + digits
  }

  /** The 16 bytes of a UUID at `start`, in canonical form without quotes. */
  uuid(source: Buffer, start: number): void {
    this.#reserve(36)
    const buffer = this.#buffer
    let pos = this.#pos
    for (let i = 0; i < 16; i++) {
      if (i === 4 || i === 6 || i === 8 || i === 10) buffer[pos++] = DASH
      const byte = source[start + i] as number
      buffer[pos++] = HEX[byte >> 4] as number
      buffer[pos++] = HEX[byte & 15] as number
    }
    this.#pos = pos
  }

  /** RFC 3339 in UTC with six digits after the second, without quotes; of PostgreSQL's 64 bits at `start`. */
  time(source: Buffer, start: number): void {
    // Microseconds since 2000, which may be more than a number can tell apart: the upper half is taken as seconds and a rest.
    const upper = source.readInt32BE(start)
    const micros = upper * 967_296 + source.readUInt32BE(start + 4)
    const carry = Math.floor(micros / 1e6)
    const second = SECOND_OF_2000 + upper * 4_294 + carry
    // `infinity`, which only plain SQL can store, has no such form; PostgreSQL writes nothing either.
    if (second < FIRST_SECOND || second > LAST_SECOND) return
    // Events that follow one another were mostly stored in the same second.
    if (second !== this.#second) {
      this.#second = second
      this.#secondText = Buffer.from(new Date(second * 1000).toISOString().slice(0, -4))
    }
    this.fragment(this.#secondText)
    this.#digits(micros - carry * 1e6, 6)
    this.#reserve(1)
    this.#buffer[this.#pos++] = LETTER_Z
  }

  #reserve(bytes: number): void {
    const needed = this.#pos + bytes
    if (needed <= this.#buffer.length) return
    if (needed > this.#mostBytes) throw new TooManyBytesError(`more than ${this.#mostBytes} bytes`)
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, needed))
    this.#buffer.copy(grown, 0, 0, this.#pos)
    this.#buffer = grown
  }
}
