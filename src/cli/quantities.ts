// Sizes and times as people write them on a command line.

import { InvalidArgumentError } from 'commander'

const BYTES: Readonly<Record<string, number>> = {
  ...{ '': 1, b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
}
const SECONDS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3_600, d: 86_400 }
const UNITS = [
  [86_400, 'day'],
  [3_600, 'hour'],
  [60, 'minute'],
] as const
const MAX_SECONDS = 365 * 86_400

/** Of the feed. */
export function positionArgument(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It is a whole number from 0.')
}

/** `250GB`, `1.5 TB`, `64GiB`, or bytes. */
export function bytesArgument(text: string): number {
  const bytes = quantity(text, BYTES)
  if (bytes !== undefined && bytes <= Number.MAX_SAFE_INTEGER) return Math.round(bytes)
  throw new InvalidArgumentError('A size looks like 250GB: a number, and B, KB, MB, GB, TB or KiB to TiB.')
}

/** `30s`, `15m`, `4h`, `1d`, or seconds. */
export function secondsArgument(text: string): number {
  const seconds = quantity(text, SECONDS)
  if (seconds !== undefined && Number.isInteger(seconds) && seconds <= MAX_SECONDS) return seconds
  throw new InvalidArgumentError('A time looks like 15m: a number, and s, m, h or d; whole seconds, at most 365d.')
}

function quantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text.trim()) ?? []
  const factor = units[unit.toLowerCase()]
  return number === undefined || factor === undefined ? undefined : Number(number) * factor
}

/** Bytes in the unit that leaves few digits. */
export function showBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

/** Seconds in the largest unit of which there is one: `1.5 hours`. */
export function showSeconds(seconds: number): string {
  const [size, unit] = UNITS.find(([each]) => seconds >= each) ?? [1, 'second']
  const count = Math.ceil((seconds / size) * 10) / 10
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}
