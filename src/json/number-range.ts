// Numbers by their text: which come back as they went in, because a double holds them and so does PostgreSQL's numeric,
// and which are the same.

/** Longest number, in characters: far beyond any double, and far within what PostgreSQL's numeric keeps. */
const MAX_NUMBER_LENGTH = 1_000

/** Of the well-formed number from `start` to `end`: its power of ten without the sign, or what is wrong with it. */
export function exponentSize(
  json: Buffer,
  start: number,
  end: number,
): number | 'number_out_of_range' | 'number_too_long' {
  if (end - start > MAX_NUMBER_LENGTH) return 'number_too_long'
  const [digits = '', power = '0'] = json.toString('latin1', start, end).split(/[eE]/)
  const value = Number(`${digits}e${power}`)
  const exponent = Math.abs(Number(power))
  if (!Number.isFinite(value)) return 'number_out_of_range'
  // Zero out of other digits is too small for a double. Zero itself can have any power, but PostgreSQL's numeric fails
  // on one of thousands.
  if (value === 0 && (/[1-9]/.test(digits) || exponent > MAX_NUMBER_LENGTH)) return 'number_out_of_range'
  return exponent
}

/** One text for a number of at most {@link MAX_NUMBER_LENGTH}: `1.50e1`, `15.0` and `15` are all `15e0`: digits without outer zeros, and the power of ten. */
export function canonicalNumber(text: string): string {
  const [, sign = '', whole = '', fraction = '', power = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? []
  const digits = (whole + fraction).replace(/^0+/, '')
  const significant = digits.replace(/0+$/, '')
  if (significant === '') return '0'
  return `${sign}${significant}e${Number(power) - fraction.length + digits.length - significant.length}`
}

/** A well-formed number as a double; NaN where only rounding made it whole, as 1e-400 or 1.00000000000000000001. */
export function exactNumber(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || !/[.eE]/.test(text)) return value
  const isWhole = text.length <= MAX_NUMBER_LENGTH && !canonicalNumber(text).includes('e-')
  return isWhole ? value : Number.NaN
}
