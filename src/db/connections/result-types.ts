// How results arrive: per client, so that other users of `pg` in the process keep their own.

import pg from 'pg'

const { builtins } = pg.types

const INT4_ARRAY = 1007
const INT8_ARRAY = 1016

const asText = (text: string): string => text

/** Numbers up to 2^53, text beyond: positions and versions never get there, and nothing is ever rounded. */
const readInt8 = (text: string): number | string => {
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : text
}

const readers = new Map<number, (text: string) => unknown>([
  [builtins.INT8, readInt8],
  [builtins.TIMESTAMPTZ, readTimestamp],
  // Parsing would round numbers; the text is what was stored.
  [builtins.JSON, asText],
  [builtins.JSONB, asText],
  // The generic array parser goes character by character; who needs these splits them.
  [INT4_ARRAY, asText],
  [INT8_ARRAY, asText],
])

/** For the option `types` of a client: int8 as number, timestamptz as RFC 3339 text in UTC, JSON as text. */
export const RESULT_TYPES: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    (format === 'binary' ? undefined : readers.get(oid)) ??
    pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
}

/** `2025-11-21 08:08:00.5+00` as `2025-11-21T08:08:00.500000Z`; a Date would lose the microseconds. */
function readTimestamp(text: string): string {
  const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?([+-]\d\d)(?::(\d\d))?(?::(\d\d))?$/.exec(text)
  // Infinity, years before 1 or after 9999.
  if (match === null) return text
  const [, date, time, fraction = '', hours = '+00', minutes = '00', seconds = '00'] = match
  const micros = fraction.padEnd(6, '0')
  const sign = hours.startsWith('-') ? -1 : 1
  const offsetMs = (Math.abs(Number(hours)) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000 * sign
  if (offsetMs === 0) return `${date}T${time}.${micros}Z`
  const utc = new Date(Date.parse(`${date}T${time}Z`) - offsetMs)
  return `${utc.toISOString().slice(0, 19)}.${micros}Z`
}
