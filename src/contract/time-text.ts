const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|[+-](\d\d):(\d\d))$/i

/** PostgreSQL takes offsets below 16 hours. */
const MAX_OFFSET_HOURS = 15
const MICROSECOND_DIGITS = 6

/**
 * A time of RFC 3339 in a spelling that PostgreSQL takes and understands as it is meant, or undefined. A plus sign that a
 * query string turned into a blank is put back. Times are compared with those of events, which are whole microseconds:
 * one between two of them becomes the next, because PostgreSQL would round it to the nearest.
 */
export function readTime(text: string): string | undefined {
  const time = text.replace(/ (\d\d:\d\d)$/, '+$1').toUpperCase()
  const [, year, month, day, hour, minute, second, fraction = '', offsetHours = '0', offsetMinutes = '0'] =
    RFC3339.exec(time) ?? []
  if (year === undefined) return undefined
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate()
  const isTime =
    Number(month) >= 1 &&
    Number(month) <= 12 &&
    Number(day) >= 1 &&
    Number(day) <= days &&
    Number(hour) <= 23 &&
    Number(minute) <= 59 &&
    Number(second) <= 60 &&
    Number(offsetHours) <= 23 &&
    Number(offsetMinutes) <= 59
  if (!isTime) return undefined
  const isBetween = /[1-9]/.test(fraction.slice(MICROSECOND_DIGITS))
  const isPlain = !isBetween && Number(year) > 0 && Number(offsetHours) <= MAX_OFFSET_HOURS
  return isPlain ? time : inUtc(time, Number(`0.${fraction || '0'}`))
}

// Before the year 1 PostgreSQL counts otherwise, and ISO text ends with the year 9999; no event is of either time.
const FIRST = Date.parse('0001-01-01T00:00:00Z')
const LAST = Date.parse('9999-12-31T23:59:59Z')

function inUtc(time: string, fraction: number): string {
  const whole =
    Date.parse(time.replace(/\.\d+/, '').replace(/:60(?=[Z+-])/, ':59')) + (/:60[.Z+-]/.test(time) ? 1_000 : 0)
  const micros = Math.ceil(Number((fraction * 1e6).toFixed(3)))
  const seconds = Math.min(Math.max(whole + (micros === 1e6 ? 1_000 : 0), FIRST), LAST)
  return new Date(seconds)
    .toISOString()
    .replace(/\.\d+Z$/, `.${String(micros % 1e6).padStart(MICROSECOND_DIGITS, '0')}Z`)
}
