// The tokens of JSON, and where they end. None of this keeps anything from one call to the next.

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** The bytes are not JSON. */
export class JsonSyntaxError extends Error {
  override name = 'JsonSyntaxError'
  readonly offset: number
  constructor(offset: number) {
    super(`not JSON at byte ${offset}`)
    this.offset = offset
  }
}

/** The text of a well-formed string literal, quotes included in the range. */
export function decodeString(json: Buffer, start: number, end: number): string {
  const inner = json.toString('utf8', start + 1, end - 1)
  return inner.includes('\\') ? (JSON.parse(`"${inner}"`) as string) : inner
}

/** First byte after the well-formed string literal that starts with its quote at `start`. */
export function endOfString(json: Buffer, start: number): number {
  let pos = start + 1
  while (json[pos] !== QUOTE) pos += json[pos] === BACKSLASH ? 2 : 1
  return pos + 1
}

/** Whether this byte after a backslash makes an escape by itself. */
export const isEscape = (byte: number | undefined): boolean =>
  // " \ / b f n r t
  byte === QUOTE ||
  byte === BACKSLASH ||
  byte === 0x2f ||
  byte === 0x62 ||
  byte === 0x66 ||
  byte === 0x6e ||
  byte === 0x72 ||
  byte === 0x74

/**
 * The four hexadecimal digits of `\u` from `start` on.
 * @throws JsonSyntaxError
 */
export function hexUnit(json: Buffer, start: number): number {
  let unit = 0
  for (let i = start; i < start + 4; i++) {
    const byte = json[i] ?? 0
    let digit: number
    if (byte >= 0x30 && byte <= 0x39) digit = byte - 0x30
    else if (byte >= 0x41 && byte <= 0x46) digit = byte - 0x37
    else if (byte >= 0x61 && byte <= 0x66) digit = byte - 0x57
    else throw new JsonSyntaxError(i)
    unit = unit * 16 + digit
  }
  return unit
}

/**
 * First byte after `word`, whose first letter stands at `start`.
 * @throws JsonSyntaxError
 */
export function skipWord(json: Buffer, start: number, word: string): number {
  for (let i = 1; i < word.length; i++) {
    if (json[start + i] !== word.charCodeAt(i)) throw new JsonSyntaxError(start + i)
  }
  return start + word.length
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39

/**
 * First byte after the digits, one at least, that begin at `start`.
 * @throws JsonSyntaxError
 */
export function skipDigits(json: Buffer, start: number): number {
  if (!isDigit(json[start])) throw new JsonSyntaxError(start)
  let pos = start + 1
  while (isDigit(json[pos])) pos++
  return pos
}
