// One validating pass over JSON bytes. JSON.parse would round numbers, drop duplicate keys and take any depth
// without a word; here a value is only walked, so that its bytes can be stored as they came.

/** Deepest nesting of a stored value. */
const MAX_DEPTH = 64
/** Longest number, in characters: far beyond any double, and far within what PostgreSQL's numeric keeps. */
const MAX_NUMBER_LENGTH = 1_000

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

/** The bytes are not JSON. */
export class JsonSyntaxError extends Error {
  override name = 'JsonSyntaxError'
  readonly offset: number
  constructor(offset: number) {
    super(`not JSON at byte ${offset}`)
    this.offset = offset
  }
}

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
// Up to this many keys an object's keys are compared by hash, one by one; beyond, a set keeps it linear.
const FEW_KEYS = 16

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
const keyStarts = new Int32Array(MAX_DEPTH + 2)
const keySets: (Set<string> | undefined)[] = []
let keyHashes = new Int32Array(256)
let keyOffsets = new Int32Array(256)
let keyCount = 0

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
  keyCount = 0
  for (;;) {
    const byte = source[pos]
    if (byte === QUOTE) {
      pos = skipString(pos)
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      containers[depth++] = byte
      if (depth === MAX_DEPTH + 1) report('too_deep', pos)
      pos = skipSpace(pos + 1)
      if (byte === OPEN_OBJECT) {
        if (depth <= MAX_DEPTH) {
          keyStarts[depth] = keyCount
          keySets[depth] = undefined
        }
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
      if (inObject && depth <= MAX_DEPTH) keyCount = keyStarts[depth] as number
      depth--
      pos++
    }
  }
}

function skipKey(start: number, depth: number): number {
  if (source[start] !== QUOTE) throw new JsonSyntaxError(start)
  let pos = skipString(start)
  if (depth <= MAX_DEPTH) noteKey(start, pos, depth)
  pos = skipSpace(pos)
  if (source[pos] !== COLON) throw new JsonSyntaxError(pos)
  return skipSpace(pos + 1)
}

function noteKey(start: number, end: number, depth: number): void {
  const first = keyStarts[depth] as number
  const set = keySets[depth]
  if (set !== undefined) {
    const key = keyText(start, end)
    if (set.has(key)) report('duplicate_key', start)
    set.add(key)
    return
  }
  // An escaped key can equal one that is written plainly, so it has to be compared by text.
  if (escaped || keyCount - first >= FEW_KEYS) {
    const keys = new Set<string>()
    for (let i = first; i < keyCount; i++) keys.add(keyTextAt(keyOffsets[i] as number))
    keySets[depth] = keys
    noteKey(start, end, depth)
    return
  }
  let hash = 0x811c9dc5 | 0
  for (let i = start + 1; i < end - 1; i++) hash = Math.imul(hash ^ (source[i] as number), 0x01000193)
  for (let i = first; i < keyCount; i++) {
    if (keyHashes[i] === hash && keyTextAt(keyOffsets[i] as number) === keyText(start, end)) {
      report('duplicate_key', start)
      break
    }
  }
  if (keyCount === keyHashes.length) growKeys()
  keyHashes[keyCount] = hash
  keyOffsets[keyCount++] = start
}

function growKeys(): void {
  const hashes = new Int32Array(keyHashes.length * 2)
  hashes.set(keyHashes)
  keyHashes = hashes
  const offsets = new Int32Array(keyOffsets.length * 2)
  offsets.set(keyOffsets)
  keyOffsets = offsets
}

const keyText = (start: number, end: number): string => decodeString(source, start, end)

const keyTextAt = (start: number): string => keyText(start, endOfString(source, start))

/** The text of a well-formed string literal, quotes included in the range. */
export function decodeString(body: Buffer, start: number, end: number): string {
  const inner = body.toString('utf8', start + 1, end - 1)
  return inner.includes('\\') ? (JSON.parse(`"${inner}"`) as string) : inner
}

/** First byte after the well-formed string literal that starts with its quote at `start`. */
export function endOfString(body: Buffer, start: number): number {
  let pos = start + 1
  while (body[pos] !== QUOTE) pos += body[pos] === BACKSLASH ? 2 : 1
  return pos + 1
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
    // " \ / b f n r t
    if (
      byte === QUOTE ||
      byte === BACKSLASH ||
      byte === 0x2f ||
      byte === 0x62 ||
      byte === 0x66 ||
      byte === 0x6e ||
      byte === 0x72 ||
      byte === 0x74
    ) {
      return start + 2
    }
    throw new JsonSyntaxError(start)
  }
  const unit = hexUnit(start + 2)
  if (unit === 0) report('nul_character', start)
  if (unit < 0xd800 || unit > 0xdfff) return start + 6
  if (unit <= 0xdbff && source[start + 6] === BACKSLASH && source[start + 7] === LETTER_U) {
    const low = hexUnit(start + 8)
    if (low >= 0xdc00 && low <= 0xdfff) return start + 12
  }
  report('lone_surrogate', start)
  return start + 6
}

function hexUnit(start: number): number {
  let unit = 0
  for (let i = start; i < start + 4; i++) {
    const byte = source[i] ?? 0
    let digit: number
    if (byte >= 0x30 && byte <= 0x39) digit = byte - 0x30
    else if (byte >= 0x41 && byte <= 0x46) digit = byte - 0x37
    else if (byte >= 0x61 && byte <= 0x66) digit = byte - 0x57
    else throw new JsonSyntaxError(i)
    unit = unit * 16 + digit
  }
  return unit
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
  if (byte === 0x74) return skipWord(start, 'true')
  if (byte === 0x66) return skipWord(start, 'false')
  if (byte === 0x6e) return skipWord(start, 'null')
  return skipNumber(start)
}

function skipWord(start: number, word: string): number {
  for (let i = 1; i < word.length; i++) {
    if (source[start + i] !== word.charCodeAt(i)) throw new JsonSyntaxError(start + i)
  }
  return start + word.length
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39

function skipDigits(start: number): number {
  if (!isDigit(source[start])) throw new JsonSyntaxError(start)
  let pos = start + 1
  while (isDigit(source[pos])) pos++
  return pos
}

function skipNumber(start: number): number {
  let pos = source[start] === 0x2d ? start + 1 : start
  pos = source[pos] === 0x30 ? pos + 1 : skipDigits(pos)
  if (source[pos] === 0x2e) pos = skipDigits(pos + 1)
  const byte = source[pos]
  const hasExponent = byte === 0x65 || byte === 0x45
  if (hasExponent) {
    const sign = source[pos + 1]
    pos = skipDigits(sign === 0x2b || sign === 0x2d ? pos + 2 : pos + 1)
  }
  // Fifteen characters without an exponent are within a double whatever they say.
  if (hasExponent || pos - start > 15) checkNumber(start, pos)
  return pos
}

function checkNumber(start: number, end: number): void {
  if (end - start > MAX_NUMBER_LENGTH) {
    report('number_too_long', start)
    return
  }
  const [digits = '', power = '0'] = source.toString('latin1', start, end).split(/[eE]/)
  const value = Number(`${digits}e${power}`)
  // Infinity is too large for a double; zero out of other digits is too small for one. Zero itself can have any power,
  // but PostgreSQL's numeric fails on one of thousands.
  const exponent = Math.abs(Number(power))
  if (!Number.isFinite(value) || (value === 0 && (/[1-9]/.test(digits) || exponent > MAX_NUMBER_LENGTH))) {
    report('number_out_of_range', start)
  } else {
    unwritten += exponent
  }
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

/** A number, true, false or null at `start`. */
export function scanScalar(body: Buffer, start: number): { end: number; value: number | boolean | null } {
  source = body
  findings = undefined
  const end = skipScalar(start, body[start])
  return { end, value: JSON.parse(body.toString('latin1', start, end)) as number | boolean | null }
}
