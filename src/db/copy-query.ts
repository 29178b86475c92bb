// `COPY … TO STDOUT` as a query of `pg`: each row comes as the bytes that the server sent. `pg` turns the rows of every
// other statement into text first, and rows in binary form are corrupted by that.

import type pg from 'pg'
import { RawQuery } from './raw-query.ts'

/** The part of pg's connection that is used here; `@types/pg` leaves its messages out. */
interface Wire {
  query(text: string): void
}

/** Takes the messages of the data one by one; their bytes are only valid during the call. */
export interface CopyReceiver {
  take(data: Buffer): void
}

export class CopyQuery extends RawQuery {
  readonly #text: string
  readonly #receiver: CopyReceiver

  constructor(text: string, deadlineMs: number, receiver: CopyReceiver) {
    super(deadlineMs)
    this.#text = text
    this.#receiver = receiver
  }

  submit(connection: pg.Connection): void {
    ;(connection as unknown as Wire).query(this.#text)
  }

  handleCopyData({ chunk }: { chunk: Buffer }): void {
    this.take(chunk, 0)
  }

  protected override handOn(data: Buffer): void {
    this.#receiver.take(data)
  }
}
