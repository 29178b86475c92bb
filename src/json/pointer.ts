import {
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COMMA,
  decodeString,
  endOfString,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
} from './tokens.ts'

/**
 * The JSON pointer (RFC 6901) of what stands at byte `offset` within the well-formed value that starts at `start`.
 * Cold: it walks the value once, only to word an error.
 */
export function pointerAt(body: Buffer, start: number, offset: number): string {
  const path: (string | number)[] = []
  let pos = start
  let expectsKey = false
  while (pos <= offset && pos < body.length) {
    const byte = body[pos]
    if (byte === QUOTE) {
      const end = endOfString(body, pos)
      if (expectsKey) {
        path[path.length - 1] = decodeString(body, pos, end)
        expectsKey = false
      }
      if (offset < end) break
      pos = end
      continue
    }
    if ((byte === OPEN_OBJECT || byte === OPEN_ARRAY) && pos === offset) break
    if (byte === OPEN_OBJECT) {
      path.push('')
      expectsKey = true
    } else if (byte === OPEN_ARRAY) {
      path.push(0)
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      path.pop()
      expectsKey = false
    } else if (byte === COMMA) {
      const last = path.length - 1
      if (typeof path[last] === 'number') path[last] = (path[last] as number) + 1
      else expectsKey = true
    }
    pos++
  }
  return path.map((step) => `/${escapeStep(String(step))}`).join('')
}

/** One step of a JSON pointer, with `~` and `/` escaped. */
export const escapeStep = (step: string): string => step.replaceAll('~', '~0').replaceAll('/', '~1')
