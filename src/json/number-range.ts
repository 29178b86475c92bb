// Which numbers come back as they went in: a double holds them, and so does PostgreSQL's numeric.

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
