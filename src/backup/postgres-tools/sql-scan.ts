// A dump as SQL text, as it streams by: the rows of each table, and whether it came to its end.

import { Transform, type TransformCallback } from 'node:stream'

const COPY = /^COPY (.+?) \(.*\) FROM stdin;$/
const END_OF_ROWS = '\\.'
const END_OF_DUMP = /^-- PostgreSQL database (cluster )?dump complete$/
const NEWLINE = 10
// A line that is looked at is a statement or a comment; rows can be of any length, and only their ends are looked for.
const LONGEST_LINE = 4_096

/** Passes everything through. */
export class SqlScan extends Transform {
  /** By table, as pg_dump writes its name. */
  readonly rows: Record<string, number> = {}
  hasEnded = false
  #table: string | undefined
  #line = ''

  override _transform(piece: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let from = 0
    for (let end = piece.indexOf(NEWLINE); end !== -1; end = piece.indexOf(NEWLINE, from)) {
      this.#keep(piece, from, end)
      this.#endLine()
      from = end + 1
    }
    this.#keep(piece, from, piece.length)
    done(null, piece)
  }

  #keep(piece: Buffer, from: number, end: number): void {
    const room = LONGEST_LINE - this.#line.length
    if (room > 0 && end > from) this.#line += piece.toString('latin1', from, Math.min(end, from + room))
  }

  #endLine(): void {
    const line = this.#line
    this.#line = ''
    if (this.#table !== undefined) {
      if (line === END_OF_ROWS) this.#table = undefined
      else this.rows[this.#table] = (this.rows[this.#table] ?? 0) + 1
      return
    }
    const table = COPY.exec(line)?.[1]
    if (table === undefined) {
      if (END_OF_DUMP.test(line)) this.hasEnded = true
      return
    }
    this.#table = Buffer.from(table, 'latin1').toString()
    this.rows[this.#table] ??= 0
  }
}
