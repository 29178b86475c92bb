// A statement on its way through `pg`, without the description of its rows: who sends it knows what they look like.

import type pg from 'pg'
import type { Statement } from '../statement.ts'

/** The part of pg's connection that is used here; `@types/pg` leaves its messages out. */
interface Wire {
  stream: { cork(): void; uncork(): void }
  /** Texts by name: of the statements that the server has prepared, and of those that it was sent to prepare. */
  parsedStatements: Record<string, string | undefined>
  submittedNamedStatements: Record<string, string | undefined>
  parse(message: { name: string; text: string }): void
  bind(message: { statement: string; values: unknown[]; binary: boolean }): void
  execute(message: object): void
  sync(): void
}

/** Sends the statement in one piece. Its values are text or bytes; its rows come as bytes with `binary`, else as text. */
export function sendStatement(
  connection: pg.Connection,
  { name = '', text, values }: Statement,
  { binary }: { binary: boolean },
): void {
  const wire = connection as unknown as Wire
  wire.stream.cork()
  if (wire.parsedStatements[name] === undefined && wire.submittedNamedStatements[name] === undefined) {
    wire.parse({ name, text })
    if (name !== '') wire.submittedNamedStatements[name] = text
  }
  wire.bind({ statement: name, values, binary })
  wire.execute({})
  wire.sync()
  wire.stream.uncork()
}
