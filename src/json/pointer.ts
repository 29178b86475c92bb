import { decodeString, endOfString } from './tokens.ts'

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
    if (byte === 0x22) {
      const end = endOfString(body, pos)
      if (expectsKey) {
        path[path.length - 1] = decodeString(body, pos, end)
        expectsKey = false
      }
      if (offset < end) break
      pos = end
      continue
    }
    if ((byte === 0x7b || byte === 0x5b) && pos === offset) break
    if (byte === 0x7b) {
      path.push('')
      expectsKey = true
    } else if (byte === 0x5b) {
      path.push(0)
    } else if (byte === 0x7d || byte === 0x5d) {
      path.pop()
      expectsKey = false
    } else if (byte === 0x2c) {
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
