// A statement as a query of `pg` whose rows come in binary form, as the bytes that the server sent.

import type pg from 'pg'
import { RawQuery } from './raw-query.ts'
import type { Statement } from './read-events.ts'
import { divertRows, type RowReceiver } from './row-tap.ts'

/** The part of pg's connection that is used here; `@types/pg` leaves its messages out. */
interface Wire {
  stream: { cork(): void; uncork(): void }
  parsedStatements: Record<string, string | undefined>
  parse(message: { name: string; text: string }): void
  bind(message: { statement: string; values: unknown[]; binary: boolean }): void
  execute(message: object): void
  sync(): void
}

export class RowsQuery extends RawQuery implements RowReceiver {
  /** The pool's clients read them. */
  readonly values: unknown[]
  /** By these `pg` notes that the server has prepared the statement. */
  readonly name: string
  readonly text: string
  readonly #receiver: RowReceiver

  /** Without a name the statement is prepared for this once. Its values are text or bytes. */
  constructor({ name = '', text, values }: Statement, deadlineMs: number, receiver: RowReceiver) {
    super(deadlineMs)
    this.name = name
    this.text = text
    this.values = values
    this.#receiver = receiver
  }

  submit(connection: pg.Connection): void {
    divertRows(connection, this)
    const wire = connection as unknown as Wire
    const { name, text, values } = this
    wire.stream.cork()
    if (wire.parsedStatements[name] === undefined) wire.parse({ name, text })
    wire.bind({ statement: name, values, binary: true })
    wire.execute({})
    wire.sync()
    wire.stream.uncork()
  }

  row(data: Buffer, start: number): void {
    this.take(data, start)
  }

  protected override handOn(data: Buffer, start: number): void {
    this.#receiver.row(data, start)
  }

  override handleReadyForQuery(connection: pg.Connection): void {
    divertRows(connection, undefined)
    super.handleReadyForQuery(connection)
  }

  override handleError(error: unknown, connection: pg.Connection): void {
    divertRows(connection, undefined)
    super.handleError(error, connection)
  }
}
