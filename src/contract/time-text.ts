const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/

/**
 * A time of RFC 3339 as PostgreSQL takes it, or undefined. A plus sign that a query string turned into a blank is
 * put back.
 */
export function readTime(text: string): string | undefined {
  const time = text.replace(/ (\d\d:\d\d)$/, '+$1')
  const [, year, month, day, hour, minute, second, , offset] = RFC3339.exec(time) ?? []
  if (year === undefined) return undefined
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate()
  const isTime =
    Number(year) > 0 &&
    Number(month) >= 1 &&
    Number(month) <= 12 &&
    Number(day) >= 1 &&
    Number(day) <= days &&
    Number(hour) <= 23 &&
    Number(minute) <= 59 &&
    Number(second) <= 60 &&
    isOffset(offset as string)
  return isTime ? time : undefined
}

// PostgreSQL takes offsets below 16 hours.
function isOffset(offset: string): boolean {
  if (offset.length === 1) return true
  return Number(offset.slice(1, 3)) <= 15 && Number(offset.slice(4, 6)) <= 59
}
