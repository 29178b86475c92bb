// Up to where the log is replayed.

import type { EventName } from '../../db/backup/recovery.ts'
import { BackupError } from '../backup-error.ts'

export type RecoveryTarget =
  | { kind: 'latest' }
  /** RFC 3339 with an offset; what was committed at this very moment is in. */
  | { kind: 'time'; time: string }
  /** What was committed at this place of the log is in. */
  | { kind: 'lsn'; lsn: string }
  /** Everything before the event is in, and it is not. */
  | { kind: 'event'; event: EventName }

/** What the new server does when it is there. */
export type OnTarget = 'promote' | 'pause' | 'shutdown'

/** At most one of the three. @throws BackupError `refused` for what is none */
export function readTarget(given: { time?: string; lsn?: string; event?: string }): RecoveryTarget {
  if (Object.values(given).filter((each) => each !== undefined).length > 1) {
    throw new BackupError('refused', 'give one of --target-time, --target-lsn and --target-event')
  }
  if (given.time !== undefined) return { kind: 'time', time: checkTime(given.time) }
  if (given.lsn !== undefined) return { kind: 'lsn', lsn: checkLsn(given.lsn) }
  if (given.event !== undefined) return { kind: 'event', event: readEvent(given.event) }
  return { kind: 'latest' }
}

/** An RFC 3339 moment, as it was written. @throws BackupError `refused` */
export function checkTime(text: string): string {
  if (
    /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)$/.test(text) &&
    !Number.isNaN(Date.parse(text))
  )
    return text
  throw new BackupError(
    'refused',
    `${JSON.stringify(text)} is no moment; one looks like 2026-01-15T09:30:00Z, with an offset from UTC`,
  )
}

function checkLsn(text: string): string {
  if (/^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/.test(text)) return text.toUpperCase()
  throw new BackupError('refused', `${JSON.stringify(text)} is no place of the log; one looks like 0/16B3748`)
}

function readEvent(text: string): EventName {
  const at = text.lastIndexOf('@')
  const version = text.slice(at + 1)
  if (at > 0 && /^[1-9]\d{0,15}$/.test(version)) return { stream: text.slice(0, at), version: Number(version) }
  throw new BackupError(
    'refused',
    `${JSON.stringify(text)} is no event; one looks like order-123@57, the stream and the version`,
  )
}

/** As PostgreSQL takes it before it knows the names of time zones, of which Z is one. */
export const asSetting = (time: string): string => time.replace('T', ' ').replace(/Z$/, '+00')

/** Places of the log as numbers that can be compared. */
export function lsnNumber(lsn: string): bigint {
  const [high = '0', low = '0'] = lsn.split('/')
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`)
}
