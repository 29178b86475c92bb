// A statement as a query of `pg` whose rows come in binary form, as the bytes that the server sent.

import type pg from 'pg'
import type { Statement } from '../statement.ts'
import { divertRows, type RowReceiver } from './row-tap.ts'
import { sendStatement } from './send-statement.ts'

/** `pg` calls its methods, and the tap gives it the rows. */
export class RowsQuery implements RowReceiver {
  /** The pool's clients read them. */
  readonly values: unknown[]
  readonly deadlineMs: number
  /** By these `pg` notes that the server has prepared the statement. */
  readonly name: string
  readonly text: string
  /** Resolves when all rows have come and the connection can be used again. */
  readonly done: Promise<void>
  readonly #receiver: RowReceiver
  #failure: unknown
  #resolve: () => void = () => {}
  #reject: (error: unknown) => void = () => {}

  /** Without a name the statement is prepared for this once. Its values are text or bytes. */
  constructor({ name = '', text, values }: Statement, deadlineMs: number, receiver: RowReceiver) {
    this.name = name
    this.text = text
    this.values = values
    this.deadlineMs = deadlineMs
    this.#receiver = receiver
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  submit(connection: pg.Connection): void {
    divertRows(connection, this)
    sendStatement(connection, this, { binary: true })
  }

  row(data: Buffer, start: number): void {
    if (this.#failure !== undefined) return
    // Thrown from here it would end the process: nobody stands between the socket and this.
    try {
      this.#receiver.row(data, start)
    } catch (error) {
      this.#failure = error
    }
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(connection: pg.Connection): void {
    divertRows(connection, undefined)
    if (this.#failure === undefined) this.#resolve()
    else this.#reject(this.#failure)
  }

  handleError(error: unknown, connection: pg.Connection): void {
    divertRows(connection, undefined)
    this.#reject(error)
  }
}
