// Which kinds of backup a store needs: a table over its size, how much may be lost (RPO), how soon it has to be back (RTO),
// and who runs the server. A pure function; docs/how-to/back-up-by-a-policy.md shows the table.

import type { Schedule } from '../policy/policy.ts'
import { PARTS, type Part, PERIODS, type Period } from './parts.ts'

/** What the backups of a store have to reach. */
export interface Need {
  sizeBytes: number
  rpoSeconds: number
  rtoSeconds: number
  /** A provider runs the server: its files and its log are out of reach. */
  isManaged: boolean
}

/** `copies` now and then are enough; it takes the `log` of the server; or a `standby` that runs already. */
export type Way = 'copies' | 'log' | 'standby'
/** From `LARGE_BYTES` on a server of one's own is `large`. */
export type Server = 'own' | 'large' | 'managed'

export interface Choice {
  way: Way
  server: Server
  parts: Part[]
  /** For the policy; those of all parts. */
  schedules: Schedule[]
  /** How long the restore itself takes: of an archive, and of the server's files. */
  restoreSeconds: { rows: number; files: number }
}

const DECISIONS: Readonly<Record<Way, Record<Server, readonly (keyof typeof PARTS)[]>>> = {
  copies: {
    own: ['archives'],
    large: ['archives'],
    managed: ['provider', 'archives'],
  },
  log: {
    own: ['physical', 'spareArchive'],
    large: ['pgbackrest', 'spareArchive'],
    managed: ['provider', 'spareArchive'],
  },
  standby: {
    own: ['standby', 'physical', 'spareArchive'],
    large: ['standby', 'pgbackrest', 'spareArchive'],
    managed: ['standby', 'provider', 'spareArchive'],
  },
}

/**
 * Bytes of the database that come back in a second: about a third of what the benchmark restores as rows, and what a plain
 * disk or a bucket gives as files.
 */
export const RATES = { rows: 10e6, files: 50e6 } as const
/** The other half is for noticing, deciding and checking. */
const SHARE_OF_RTO = 0.5
/** From here on a whole copy a day is too much. */
export const LARGE_BYTES = 100e9
/** Seconds that the end of an archived log is old: `archive_timeout` and a copy; what RDS says of itself. */
const AGE_OF_LOG: Readonly<Record<Server, number>> = { own: 120, large: 120, managed: 300 }

export function chooseBackups(need: Need): Choice {
  const { sizeBytes, isManaged } = need
  const server = isManaged ? 'managed' : sizeBytes >= LARGE_BYTES ? 'large' : 'own'
  const restoreSeconds = { rows: Math.ceil(sizeBytes / RATES.rows), files: Math.ceil(sizeBytes / RATES.files) }
  const period = periodWithin(need.rpoSeconds)
  const way = wayTo(need, { restoreSeconds, period, ageOfLog: AGE_OF_LOG[server] })
  const parts = DECISIONS[way][server].map((name) => PARTS[name])
  // Only for copies there is a period; the log has none.
  const schedules = parts.flatMap((part) => part.schedules(period ?? PERIODS[0]))
  return { way, server, parts, schedules, restoreSeconds }
}

function wayTo(
  { rpoSeconds, rtoSeconds }: Need,
  known: { restoreSeconds: Choice['restoreSeconds']; period: Period | undefined; ageOfLog: number },
): Way {
  const isSoonEnough = (seconds: number) => seconds <= rtoSeconds * SHARE_OF_RTO
  if (rpoSeconds < known.ageOfLog || !isSoonEnough(known.restoreSeconds.files)) return 'standby'
  return known.period !== undefined && isSoonEnough(known.restoreSeconds.rows) ? 'copies' : 'log'
}

/** A backup shows the moment at which it began, and counts when it is whole: so the period has to be shorter. */
const periodWithin = (rpoSeconds: number): Period | undefined => PERIODS.find(({ seconds }) => seconds < rpoSeconds)
