// Request bodies: the envelope becomes JavaScript values, and the members that are stored stay the bytes they came as.

import { isUtf8 } from 'node:buffer'
import { AppError, type RuleViolation, validationFailed } from '../errors.ts'
import { pointerAt } from './pointer.ts'
import { type Finding, type ScanResult, scanScalar, scanSpace, scanString, scanValue } from './scan.ts'
import { JsonSyntaxError } from './tokens.ts'

/** A JSON value that was scanned but not parsed: bytes `start` to `end` of `body`. */
export class RawJson {
  readonly body: Buffer
  readonly start: number
  readonly end: number
  readonly findings: Finding[] | undefined
  /** White space between its tokens has line breaks, so it can't be a line of its own. */
  readonly hasLineBreaks: boolean
  readonly #unwrittenDigits: number

  constructor(body: Buffer, start: number, scanned: ScanResult) {
    this.body = body
    this.start = start
    this.end = scanned.end
    this.findings = scanned.findings
    this.hasLineBreaks = scanned.hasLineBreaks
    this.#unwrittenDigits = scanned.unwrittenDigits
  }

  get byteLength(): number {
    return this.end - this.start
  }

  /** What it can have when PostgreSQL writes it: `1e300` becomes 301 digits. */
  get writtenOutLength(): number {
    return this.byteLength + this.#unwrittenDigits
  }

  /** First byte: `{`, `[`, `"`, `t`, `f`, `n`, `-` or a digit. */
  get firstByte(): number {
    return this.body[this.start] as number
  }

  get isNull(): boolean {
    return this.firstByte === 0x6e
  }

  /** The bytes, on one line: a line break outside of a string is white space and becomes a blank. */
  bytes(): Buffer {
    const slice = this.body.subarray(this.start, this.end)
    if (!this.hasLineBreaks) return slice
    const line = Buffer.from(slice)
    for (let i = 0; i < line.length; i++) if (line[i] === 0x0a || line[i] === 0x0d) line[i] = 0x20
    return line
  }

  toString(): string {
    return this.bytes().toString('utf8')
  }

  /** What makes it unfit, as rules under the pointer of the whole value. */
  violations(pointer: string): RuleViolation[] {
    const slice = this.body.subarray(0, this.end)
    return (this.findings ?? []).map(({ rule, offset }) => ({
      pointer: pointer + pointerAt(slice, this.start, offset),
      rule,
    }))
  }
}

/** Members that are stored as they came: the data and metadata of events, the state of snapshots. */
const STORED_MEMBERS: ReadonlySet<string> = new Set(['data', 'metadata', 'state'])

// No envelope of ours is deeper; what is, is walked and left for validation to refuse.
const MAX_ENVELOPE_DEPTH = 16
// Nor has any object of them nearly as many members; hundreds of thousands kept the process busy for seconds.
const MAX_ENVELOPE_MEMBERS = 100
const TOO_MANY_MEMBERS = `at_most_${MAX_ENVELOPE_MEMBERS}_members`
// To word one takes a walk over the body, so a body full of them is told the first ones.
const MAX_VIOLATIONS = 10

/**
 * Parses a request body. Members named in `rawMembers` become {@link RawJson}; their findings are left to the caller,
 * because an append that is not atomic answers for each part.
 * @throws AppError `malformed_request` when it is not JSON in UTF-8, `validation_failed` for duplicate or forbidden keys
 */
export function parseJson(body: Buffer, rawMembers: ReadonlySet<string> = STORED_MEMBERS): unknown {
  if (!isUtf8(body)) throw new AppError('malformed_request', 'The body is not valid UTF-8.')
  const envelope: Envelope = { body, rawMembers, violations: [] }
  let value: unknown
  try {
    const parsed = parseValue(envelope, scanSpace(body, 0), 0)
    if (scanSpace(body, parsed.end) !== body.length) throw new JsonSyntaxError(parsed.end)
    value = parsed.value
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    throw new AppError('malformed_request', `The body is not JSON: unexpected ${describeAt(body, error.offset)}.`)
  }
  if (envelope.violations.length > 0) {
    const start = scanSpace(body, 0)
    const first = envelope.violations.slice(0, MAX_VIOLATIONS)
    throw validationFailed(first.map(({ offset, rule }) => ({ pointer: pointerAt(body, start, offset), rule })))
  }
  return value
}

interface Parsed {
  end: number
  value: unknown
}

/** A body that is being parsed, and what was found wrong with it so far. */
interface Envelope {
  body: Buffer
  rawMembers: ReadonlySet<string>
  violations: { offset: number; rule: string }[]
}

function parseValue(envelope: Envelope, start: number, depth: number): Parsed {
  const { body } = envelope
  const byte = body[start]
  if (byte === 0x22) {
    const { end, text } = scanString(body, start)
    return { end, value: text }
  }
  if (byte !== 0x7b && byte !== 0x5b) return scanScalar(body, start)
  if (depth === MAX_ENVELOPE_DEPTH) return parseRaw(body, start)
  return byte === 0x7b ? parseObject(envelope, start, depth + 1) : parseArray(envelope, start, depth + 1)
}

function parseRaw(body: Buffer, start: number): Parsed {
  const scanned = scanValue(body, start)
  return { end: scanned.end, value: new RawJson(body, start, scanned) }
}

function parseObject(envelope: Envelope, start: number, depth: number): Parsed {
  const { body, rawMembers, violations } = envelope
  const value: Record<string, unknown> = {}
  let count = 0
  let pos = scanSpace(body, start + 1)
  if (body[pos] === 0x7d) return { end: pos + 1, value }
  for (;;) {
    if (body[pos] !== 0x22) throw new JsonSyntaxError(pos)
    const keyStart = pos
    const key = scanString(body, pos)
    pos = scanSpace(body, key.end)
    if (body[pos] !== 0x3a) throw new JsonSyntaxError(pos)
    pos = scanSpace(body, pos + 1)
    const name = key.text
    const member = rawMembers.has(name) ? parseRaw(body, pos) : parseValue(envelope, pos, depth)
    if (++count > MAX_ENVELOPE_MEMBERS) {
      if (count === MAX_ENVELOPE_MEMBERS + 1) violations.push({ offset: start, rule: TOO_MANY_MEMBERS })
    } else if (name === '__proto__' || name === 'constructor') {
      violations.push({ offset: keyStart, rule: 'forbidden_key' })
    } else if (Object.hasOwn(value, name)) {
      violations.push({ offset: keyStart, rule: 'duplicate_key' })
    } else {
      value[name] = member.value
    }
    pos = scanSpace(body, member.end)
    if (body[pos] === 0x7d) return { end: pos + 1, value }
    if (body[pos] !== 0x2c) throw new JsonSyntaxError(pos)
    pos = scanSpace(body, pos + 1)
  }
}

function parseArray(envelope: Envelope, start: number, depth: number): Parsed {
  const { body } = envelope
  const value: unknown[] = []
  let pos = scanSpace(body, start + 1)
  if (body[pos] === 0x5d) return { end: pos + 1, value }
  for (;;) {
    const item = parseValue(envelope, pos, depth)
    value.push(item.value)
    pos = scanSpace(body, item.end)
    if (body[pos] === 0x5d) return { end: pos + 1, value }
    if (body[pos] !== 0x2c) throw new JsonSyntaxError(pos)
    pos = scanSpace(body, pos + 1)
  }
}

function describeAt(body: Buffer, offset: number): string {
  const byte = body[offset]
  if (byte === undefined) return 'end'
  const shown = byte > 0x20 && byte < 0x7f ? `"${String.fromCharCode(byte)}"` : `byte 0x${byte.toString(16)}`
  return `${shown} at byte ${offset}`
}
