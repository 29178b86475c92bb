import { canonicalNumber } from './number-range.ts'
import { scanSpace, scanString } from './scan.ts'

/**
 * One text for all spellings of the same JSON value: keys sorted, no white space, numbers by their decimal value.
 * `json` has to be well-formed and not nested beyond what is stored. Used to tell a retry from a reused event id.
 */
export function canonicalJson(json: Buffer): string {
  return canonicalValue(json, scanSpace(json, 0)).text
}

interface Canonical {
  end: number
  text: string
}

function canonicalValue(json: Buffer, start: number): Canonical {
  switch (json[start]) {
    case 0x7b:
      return canonicalObject(json, start)
    case 0x5b:
      return canonicalArray(json, start)
    case 0x22: {
      const { end, text } = scanString(json, start)
      return { end, text: JSON.stringify(text) }
    }
    default: {
      let end = start
      while (isScalarByte(json[end])) end++
      const text = json.toString('latin1', start, end)
      return { end, text: /^[tfn]/.test(text) ? text : canonicalNumber(text) }
    }
  }
}

// Letters, digits, sign, point: whatever true, false, null and numbers are made of.
const isScalarByte = (byte: number | undefined): boolean =>
  byte !== undefined && byte > 0x20 && byte !== 0x2c && byte !== 0x5d && byte !== 0x7d

function canonicalObject(json: Buffer, start: number): Canonical {
  const members: [string, string][] = []
  let pos = scanSpace(json, start + 1)
  while (json[pos] !== 0x7d) {
    const key = scanString(json, pos)
    const member = canonicalValue(json, scanSpace(json, scanSpace(json, key.end) + 1))
    members.push([key.text, member.text])
    pos = scanSpace(json, member.end)
    if (json[pos] === 0x2c) pos = scanSpace(json, pos + 1)
  }
  members.sort(([a], [b]) => (a < b ? -1 : 1))
  return { end: pos + 1, text: `{${members.map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(',')}}` }
}

function canonicalArray(json: Buffer, start: number): Canonical {
  const items: string[] = []
  let pos = scanSpace(json, start + 1)
  while (json[pos] !== 0x5d) {
    const item = canonicalValue(json, pos)
    items.push(item.text)
    pos = scanSpace(json, item.end)
    if (json[pos] === 0x2c) pos = scanSpace(json, pos + 1)
  }
  return { end: pos + 1, text: `[${items.join(',')}]` }
}
