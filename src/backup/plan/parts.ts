// What a plan is made of: each kind of backup, why it is there, when it is made, and what no schedule does for it.

import type { Schedule } from '../policy/policy.ts'

export interface Part {
  /** As `annals backup types` lists them; `provider` and `standby` are not made by Annals. */
  type: string
  why: string
  setUp: readonly string[]
  /** `period` is for the kind that can be made as often as it takes. */
  schedules(period: Period): Schedule[]
}

const MINUTE = 60
const HOUR = 60 * MINUTE

/** How often increments are made, and whole ones beside them, so that chains stay short. */
export interface Period {
  seconds: number
  increments: string
  whole: string
}

/** The longest first. */
export const PERIODS: readonly [Period, ...Period[]] = [
  { seconds: 24 * HOUR, increments: '0 2 * * *', whole: '0 3 * * 0' },
  { seconds: 12 * HOUR, increments: '0 2,14 * * *', whole: '0 3 * * 0' },
  { seconds: 6 * HOUR, increments: '0 2,8,14,20 * * *', whole: '0 3 * * 0' },
  { seconds: HOUR, increments: '0 * * * *', whole: '10 2 * * *' },
  { seconds: 30 * MINUTE, increments: '*/30 * * * *', whole: '10 2 * * *' },
  { seconds: 15 * MINUTE, increments: '*/15 * * * *', whole: '10 2 * * *' },
]

const create = (name: string, cron: string, more: Partial<Extract<Schedule, { task: 'create' }>>): Schedule => ({
  ...{ name, cron, task: 'create', type: 'archive', verify: 1 },
  ...more,
})

const offsite = create('offsite', '0 4 * * 0', { to: 'offsite' })
const NEEDS_OFFSITE = 'BACKUP_OFFSITE: a place away from the machine'

const archives: Part = {
  type: 'archive',
  why: 'rows come back in time, and increments by position are exact and small, so they can be made as often as it takes',
  setUp: [NEEDS_OFFSITE],
  schedules: (period) => [
    create('increments', period.increments, { incremental: true }),
    create('whole', period.whole, {}),
    offsite,
  ],
}

const spareArchive: Part = {
  type: 'archive',
  why: 'for the day on which the other kind can not be used: it goes into any version of PostgreSQL, with any provider',
  setUp: [NEEDS_OFFSITE],
  schedules: () => [offsite],
}

const physical: Part = {
  type: 'physical',
  why: 'files come back faster than rows, and the archived log leads to any moment after them',
  setUp: ['WAL archiving: see annals wal conf, into a folder that survives the server'],
  schedules: () => [create('physical', '0 2 * * *', { type: 'physical' })],
}

const pgbackrest: Part = {
  type: 'pgbackrest',
  why: 'as physical, and of a large server only what has changed is copied every day',
  setUp: ['pgBackRest on the machine of the server, and BACKUP_PGBACKREST_DIR: its archive_command archives the log'],
  schedules: () => [
    create('pgbackrest-full', '0 3 * * 0', { type: 'pgbackrest', kind: 'full' }),
    create('pgbackrest-diff', '0 2 * * 1-6', { type: 'pgbackrest', kind: 'diff' }),
  ],
}

const provider: Part = {
  type: 'provider',
  why: "the files and the log are the provider's, and so is recovery to a moment; nobody has compared what comes back",
  setUp: ['the commands of annals backup plan --provider; annals backup attest makes them known'],
  schedules: () => [],
}

const standby: Part = {
  type: 'standby',
  why: 'no backup is back so soon, or loses so little: a second server has to run already. It repeats mistakes too, so it is no backup',
  setUp: ['a standby, synchronous where nothing at all may be lost; annals dr drill failover practises it'],
  schedules: () => [],
}

export const PARTS = { archives, spareArchive, physical, pgbackrest, provider, standby }
