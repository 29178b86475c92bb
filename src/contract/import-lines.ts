// Lines of exported events, for POST /import.

import type { StreamAppend } from '../db/event-log.ts'
import { AppError, validationFailed } from '../errors.ts'
import { parseJson } from '../json/parse.ts'
import { type AppendLimits, readImportedEvent } from './event-body.ts'
import { Report } from './report.ts'

const LINE_FEED = 0x0a
// All of them wait for the append gate at once, so a request must not fill it alone.
const MAX_LINES = 10_000

/** What one line asks for; lines count from 1, empty ones included. */
export interface ImportLine {
  line: number
  append: StreamAppend
}

/** Reads lines of events while they arrive; empty lines are passed over. A pointer counts lines from 0. */
export class ImportLines {
  readonly #limits: AppendLimits
  readonly #report = new Report()
  readonly #lines: ImportLine[] = []
  /** The beginning of the line that has not ended yet. */
  #begun: Buffer[] = []
  #count = 0
  #failure: Error | undefined

  constructor(limits: AppendLimits) {
    this.#limits = limits
  }

  /** The next part of the body; it must stay as it is. */
  add(chunk: Buffer): void {
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      this.#end(chunk.subarray(start, end))
      start = end + 1
    }
    if (start < chunk.length) this.#begun.push(chunk.subarray(start))
  }

  /**
   * All lines; no more may be added.
   * @throws AppError `malformed_request`, `validation_failed`, `stream_id_invalid`, `payload_too_large`, `unstorable_value`
   */
  finish(): ImportLine[] {
    if (this.#begun.length > 0) this.#end(Buffer.alloc(0))
    if (this.#failure !== undefined) throw this.#failure
    this.#report.done()
    return this.#lines
  }

  #end(last: Buffer): void {
    const text = this.#begun.length === 0 ? last : Buffer.concat([...this.#begun, last])
    this.#begun = []
    const line = this.#count++
    // What comes after it can not change the answer any more.
    if (this.#failure !== undefined || isBlank(text)) return
    try {
      this.#read(text, line)
    } catch (error) {
      this.#failure = error as Error
    }
  }

  #read(text: Buffer, line: number): void {
    if (this.#lines.length === MAX_LINES) throw validationFailed([{ pointer: '', rule: `at_most_${MAX_LINES}_lines` }])
    const append = readImportedEvent(parseLine(text, line), `/${line}`, this.#limits, this.#report)
    this.#lines.push({ line: line + 1, append })
  }
}

const isBlank = (text: Buffer): boolean => text.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d)

function parseLine(text: Buffer, line: number): unknown {
  try {
    return parseJson(text)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    throw new AppError(error.code, `Line ${line + 1}: ${error.message}`, { members: error.members })
  }
}
