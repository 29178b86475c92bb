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
  /** The begin of a row, or of the header of a message, that is still to come as a whole. */
  #held: Buffer = NOTHING
  /** Bytes still to come of a message that goes on to `pg`, which puts it together itself. */
  #passing = 0

  /** What is to listen instead of pg's `listener`. */
  before(event: string, listener: (chunk: Buffer) => void): (chunk: Buffer) => void {
    return event === 'data' ? (chunk) => this.#take(chunk, listener) : listener
  }

  #take(chunk: Buffer, pass: (chunk: Buffer) => void): void {
    const data = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    let passFrom = 0
    let at = this.#passing
    while (at + HEADER_BYTES <= data.length) {
      const end = at + 1 + data.readUInt32BE(at + 1)
      if (data[at] === DATA_ROW && this.receiver !== undefined) {
        if (end > data.length) break
        if (at > passFrom) pass(data.subarray(passFrom, at))
        this.receiver.row(data, at + HEADER_BYTES)
        passFrom = end
      }
      at = end
    }
    const passTo = Math.min(at, data.length)
    this.#passing = at - passTo
    this.#held = passTo === data.length ? NOTHING : data.subarray(passTo)
    if (passTo > passFrom) pass(data.subarray(passFrom, passTo))
  }
}

const NOTHING = Buffer.alloc(0)
