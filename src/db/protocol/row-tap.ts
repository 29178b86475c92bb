// Rows in binary form, by the byte. `pg` decodes every row as UTF-8, which corrupts them, and has no other way. So a tap stands
// between the socket and its parser: while a query wants its rows itself, they go there, and all else goes to `pg`.

import type pg from 'pg'

/** Takes rows one by one; their bytes are only valid during the call. */
export interface RowReceiver {
  /** The row's fields begin at `start`: their count (16 bits), then of each its length (32 bits, -1 for NULL) and bytes. */
  row(data: Buffer, start: number): void
}

type Listen = (event: string, listener: (chunk: Buffer) => void) => unknown

/** The part of pg's connection that is used here; `@types/pg` leaves it out. */
interface Wire {
  attachListeners(stream: { on: Listen }): void
  [tap]?: RowTap
}

const tap = Symbol('row tap')
const DATA_ROW = 0x44
/** Type and length. */
const HEADER_BYTES = 5

/** Puts a tap on a connection that is not open yet. */
export function tapRows(connection: pg.Connection): void {
  const wire = connection as unknown as Wire
  const attach = wire.attachListeners.bind(wire)
  const ours = new RowTap()
  wire[tap] = ours
  wire.attachListeners = (stream) => attach({ on: (event, listener) => stream.on(event, ours.before(event, listener)) })
}

/** Hands the rows that come from now on to `receiver`; with undefined, to `pg` again. */
export function divertRows(connection: pg.Connection, receiver: RowReceiver | undefined): void {
  const ours = (connection as unknown as Wire)[tap]
  if (ours === undefined) throw new Error('this connection has no tap for rows')
  ours.receiver = receiver
}

/** Follows the messages in a stream of bytes. */
export class RowTap {
  receiver: RowReceiver | undefined
  /** The begin of a row, or of the header of a message, and how many bytes are missing of it. */
  readonly #held: Buffer[] = []
  #missing = 0
  /** Bytes still to come of a message that goes on to `pg`, which puts it together itself. */
  #passing = 0

  /** What is to listen instead of pg's `listener`. */
  before(event: string, listener: (chunk: Buffer) => void): (chunk: Buffer) => void {
    return event === 'data' ? (chunk) => this.#take(chunk, listener) : listener
  }

  #take(chunk: Buffer, pass: (chunk: Buffer) => void): void {
    const data = this.#whole(chunk)
    if (data !== undefined) this.#follow(data, pass)
  }

  /** With what is held; undefined as long as something is missing. A large row is put together once, not with each chunk. */
  #whole(chunk: Buffer): Buffer | undefined {
    if (this.#held.length === 0) return chunk
    this.#held.push(chunk)
    this.#missing -= chunk.length
    return this.#missing > 0 ? undefined : Buffer.concat(this.#held.splice(0))
  }

  #follow(data: Buffer, pass: (chunk: Buffer) => void): void {
    let passFrom = 0
    let at = this.#passing
    let needed = at + HEADER_BYTES
    for (; needed <= data.length; needed = at + HEADER_BYTES) {
      const end = at + 1 + data.readUInt32BE(at + 1)
      if (data[at] === DATA_ROW && this.receiver !== undefined) {
        needed = end
        if (end > data.length) break
        if (at > passFrom) pass(data.subarray(passFrom, at))
        this.receiver.row(data, at + HEADER_BYTES)
        passFrom = end
      }
      at = end
    }
    const passTo = Math.min(at, data.length)
    this.#passing = at - passTo
    if (passTo < data.length) this.#held.push(data.subarray(passTo))
    this.#missing = needed - data.length
    if (passTo > passFrom) pass(data.subarray(passFrom, passTo))
  }
}
