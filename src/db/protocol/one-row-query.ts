// A statement that answers one row or none, as a query of `pg`. It leaves out what `pg` does for any statement that it may be
// given: a copy of the settings, a description of the row from the server, parsers by type, and errors that know who called.
// What that is worth is in docs/decisions/0011-append-gate.md.

import pg from 'pg'
import type { Statement } from '../statement.ts'
import { sendStatement } from './send-statement.ts'

/** One of pg's own, because it refuses others on a connection that is sent several statements at once. */
const Query = pg.Query as unknown as new (text: string) => object

/** `pg` calls its methods. */
export class OneRowQuery extends Query {
  /** The pool's clients read them. */
  readonly values: unknown[]
  readonly deadlineMs: number
  /** By these `pg` notes that the server has prepared the statement. */
  readonly name: string
  readonly text: string
  /** Resolves to the row's fields as text when the connection can be used again; to undefined without a row. */
  readonly row: Promise<(string | null)[] | undefined>
  #fields: (string | null)[] | undefined
  #resolve: (fields: (string | null)[] | undefined) => void = () => {}
  #reject: (error: unknown) => void = () => {}

  /** Without a name the statement is prepared for this once. Its values are text or bytes. */
  constructor({ name = '', text, values }: Statement, deadlineMs: number) {
    super(text)
    this.name = name
    this.text = text
    this.values = values
    this.deadlineMs = deadlineMs
    this.row = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  submit(connection: pg.Connection): void {
    sendStatement(connection, this, { binary: false })
  }

  handleDataRow({ fields }: { fields: (string | null)[] }): void {
    this.#fields = fields
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.#resolve(this.#fields)
  }

  handleError(error: unknown): void {
    this.#reject(error)
  }
}
