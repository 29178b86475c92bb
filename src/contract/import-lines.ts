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

/**
 * Reads lines of events; empty lines are passed over. A pointer counts lines from 0.
 * @throws AppError `malformed_request`, `validation_failed`, `stream_id_invalid`, `payload_too_large`, `unstorable_value`
 */
export function readImportLines(body: Buffer, limits: AppendLimits): ImportLine[] {
  const report = new Report()
  const lines: ImportLine[] = []
  let start = 0
  for (let line = 0; start < body.length; line++) {
    const found = body.indexOf(LINE_FEED, start)
    const end = found === -1 ? body.length : found
    const text = body.subarray(start, end)
    start = end + 1
    if (isBlank(text)) continue
    if (lines.length === MAX_LINES) throw validationFailed([{ pointer: '', rule: `at_most_${MAX_LINES}_lines` }])
    const append = readImportedEvent(parseLine(text, line), `/${line}`, limits, report)
    lines.push({ line: line + 1, append })
  }
  report.done()
  return lines
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
