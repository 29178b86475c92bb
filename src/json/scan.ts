// One validating pass over JSON bytes. JSON.parse would round numbers, drop duplicate keys and take any depth
// without a word; here a value is only walked, so that its bytes can be stored as they came.

import { exactNumber, exponentSize } from './number-range.ts'
import { closeObject, forgetKeys, noteKey, openObject } from './object-keys.ts'
import { hexUnit, isEscape, JsonSyntaxError, skipDigits, skipWord } from './tokens.ts'

/** Deepest nesting of a stored value. */
const MAX_DEPTH = 64

export type FindingRule =
  | 'duplicate_key'
  | 'lone_surrogate'
  | 'nul_character'
  | 'number_out_of_range'
  | 'number_too_long'
  | 'too_deep'

/** Something in a well-formed value that could not make the round trip; `offset` counts bytes of the scanned buffer. */
export interface Finding {
  rule: FindingRule
  offset: number
}

// Not imported: a constant of another module is read anew at every byte, which takes a tenth of the rate.
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const COMMA = 0x2c
const COLON = 0x3a
const LETTER_U = 0x75

// Most findings that one value reports; more would only make the answer long.
const MAX_FINDINGS = 10

/**
 * State of the scan in progress. It is synchronous, so one set of variables serves all; fields of an object that is
 * allocated per call cost a third of the rate.
 */
let source: Buffer = Buffer.alloc(0)
let findings: Finding[] | undefined
let lineBreaks = false
let unwritten = 0
let escaped = false
let ascii = true

const containers: number[] = []

export interface ScanResult {
  /** First byte after the value. */
  end: number
  findings: Finding[] | undefined
  /** White space between the tokens has line breaks. */
  hasLineBreaks: boolean
  /** Sum of all powers of ten: how much longer the value can get when its numbers are written out. */
  unwrittenDigits: number
}

/**
 * Walks the one value that starts at `start` (no white space before it) and reports what could not be stored.
 * The bytes have to be valid UTF-8.
 * @throws JsonSyntaxError
 */
export function scanValue(body: Buffer, start: number): ScanResult {
  source = body
  findings = undefined
  lineBreaks = false
  unwritten = 0
  const end = walk(start)
  return { end, findings, hasLineBreaks: lineBreaks, unwrittenDigits: unwritten }
}

function report(rule: FindingRule, offset: number): void {
  findings ??= []
  if (findings.length < MAX_FINDINGS) findings.push({ rule, offset })
}

// Iterative, so that no input can exhaust the stack.
function walk(start: number): number {
  let pos = start
  let depth = 0
  forgetKeys()
  for (;;) {
    const byte = source[pos]
    if (byte === QUOTE) {
      pos = skipString(pos)
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      containers[depth++] = byte
      if (depth === MAX_DEPTH + 1) report('too_deep', pos)
      pos = skipSpace(pos + 1)
      if (byte === OPEN_OBJECT) {
        if (depth <= MAX_DEPTH) openObject(depth)
        if (source[pos] !== CLOSE_OBJECT) {
          pos = skipKey(pos, depth)
          continue
        }
      } else if (source[pos] !== CLOSE_ARRAY) {
        continue
      }
    } else {
      pos = skipScalar(pos, byte)
    }
    // After a value, or at the end of an empty container: close what ends here.
    for (;;) {
      if (depth === 0) return pos
      pos = skipSpace(pos)
      const next = source[pos]
      const inObject = containers[depth - 1] === OPEN_OBJECT
      if (next === COMMA) {
        pos = skipSpace(pos + 1)
        if (inObject) pos = skipKey(pos, depth)
        break
      }
      if (next !== (inObject ? CLOSE_OBJECT : CLOSE_ARRAY)) throw new JsonSyntaxError(pos)
      if (inObject && depth <= MAX_DEPTH) closeObject(depth)
      depth--
      pos++
    }
  }
}

function skipKey(start: number, depth: number): number {
  if (source[start] !== QUOTE) throw new JsonSyntaxError(start)
  let pos = skipString(start)
  if (depth <= MAX_DEPTH && noteKey(source, start, pos, depth, escaped)) report('duplicate_key', start)
  pos = skipSpace(pos)
  if (source[pos] !== COLON) throw new JsonSyntaxError(pos)
  return skipSpace(pos + 1)
}

/** Skips a string literal that starts with its quote at `start`; sets `escaped` and `ascii`. */
function skipString(start: number): number {
  let pos = start + 1
  escaped = false
  ascii = true
  for (;;) {
    const byte = source[pos]
    if (byte === undefined || byte < 0x20) throw new JsonSyntaxError(pos)
    if (byte === QUOTE) return pos + 1
    if (byte === BACKSLASH) {
      escaped = true
      pos = skipEscape(pos)
    } else {
      if (byte > 0x7f) ascii = false
      pos++
    }
  }
}

function skipEscape(start: number): number {
  const byte = source[start + 1]
  if (byte !== LETTER_U) {
    if (!isEscape(byte)) throw new JsonSyntaxError(start)
    return start + 2
  }
  const unit = hexUnit(source, start + 2)
  if (unit === 0) report('nul_character', start)
  if (unit < 0xd800 || unit > 0xdfff) return start + 6
  if (unit <= 0xdbff && source[start + 6] === BACKSLASH && source[start + 7] === LETTER_U) {
    const low = hexUnit(source, start + 8)
    if (low >= 0xdc00 && low <= 0xdfff) return start + 12
  }
  report('lone_surrogate', start)
  return start + 6
}

function skipSpace(start: number): number {
  let pos = start
  for (;;) {
    const byte = source[pos]
    if (byte === 0x0a || byte === 0x0d) lineBreaks = true
    else if (byte !== 0x20 && byte !== 0x09) return pos
    pos++
  }
}

function skipScalar(start: number, byte: number | undefined): number {
  if (byte === 0x74) return skipWord(source, start, 'true')
  if (byte === 0x66) return skipWord(source, start, 'false')
  if (byte === 0x6e) return skipWord(source, start, 'null')
  return skipNumber(start)
}

function skipNumber(start: number): number {
  let pos = source[start] === 0x2d ? start + 1 : start
  pos = source[pos] === 0x30 ? pos + 1 : skipDigits(source, pos)
  if (source[pos] === 0x2e) pos = skipDigits(source, pos + 1)
  const byte = source[pos]
  const hasExponent = byte === 0x65 || byte === 0x45
  if (hasExponent) {
    const sign = source[pos + 1]
    pos = skipDigits(source, sign === 0x2b || sign === 0x2d ? pos + 2 : pos + 1)
  }
  // Fifteen characters without an exponent are within a double whatever they say.
  if (hasExponent || pos - start > 15) checkNumber(start, pos)
  return pos
}

function checkNumber(start: number, end: number): void {
  const size = exponentSize(source, start, end)
  if (typeof size === 'number') unwritten += size
  else report(size, start)
}

/** A string literal at `start`: its end and its text. */
export function scanString(body: Buffer, start: number): { end: number; text: string } {
  source = body
  findings = undefined
  const end = skipString(start)
  const text = escaped
    ? (JSON.parse(body.toString('utf8', start, end)) as string)
    : body.toString(ascii ? 'latin1' : 'utf8', start + 1, end - 1)
  return { end, text }
}

/** First byte at or after `start` that is not white space. */
export function scanSpace(body: Buffer, start: number): number {
  source = body
  return skipSpace(start)
}

/** A number, true, false or null at `start`; a number that only rounding makes whole is NaN. */
export function scanScalar(body: Buffer, start: number): { end: number; value: number | boolean | null } {
  source = body
  findings = undefined
  const end = skipScalar(start, body[start])
  const text = body.toString('latin1', start, end)
  const value = JSON.parse(text) as number | boolean | null
  return { end, value: typeof value === 'number' ? exactNumber(text) : value }
}
