// Which backups go and which stay, and why: a pure function over the catalogue, the policy and the time.

import type { CatalogueEntry } from './catalogue.ts'
import type { RetentionRules } from './policy/policy.ts'

export interface Kept {
  id: string
  /** At least one, in words. */
  reasons: string[]
}

export interface RetentionPlan {
  /** The newest first. */
  keep: Kept[]
  /** The newest first, so that what adds to another one goes before it. */
  remove: string[]
}

type Entry = Pick<CatalogueEntry, 'id' | 'type' | 'started_at' | 'base' | 'verified'>

/** Types that WAL is replayed onto: the log of any moment needs one that is older. */
const WAL_BASES: readonly string[] = ['physical', 'pgbackrest']

const DAY_MS = 86_400_000

/** `entries` are whole backups of one place. Types are judged apart, since one can't stand in for another. */
export function planRetention(
  entries: readonly Entry[],
  rules: RetentionRules,
  { now, timezone }: { now: Date; timezone: string },
): RetentionPlan {
  const reasons = new Map<string, string[]>()
  const keep = (entry: Entry | undefined, reason: string) => {
    if (entry !== undefined) reasons.set(entry.id, [...(reasons.get(entry.id) ?? []), reason])
  }
  const all = entries.toSorted((a, b) =>
    a.started_at < b.started_at ? 1 : a.started_at > b.started_at ? -1 : a.id < b.id ? 1 : -1,
  )
  const cutoff = now.getTime() - rules.days * DAY_MS
  for (const type of new Set(all.map((entry) => entry.type))) {
    const ofType = all.filter((entry) => entry.type === type)
    keep(ofType[0], 'the newest')
    keep(
      ofType.find(({ verified }) => verified !== null),
      'the newest that was verified',
    )
    for (const entry of ofType)
      if (Date.parse(entry.started_at) > cutoff) keep(entry, `younger than ${rules.days} days`)
    for (const entry of ofType.slice(0, rules.keep_min)) keep(entry, `one of the newest ${rules.keep_min}`)
    for (const [period, kept] of [
      ['day', rules.daily],
      ['week', rules.weekly],
      ['month', rules.monthly],
    ] as const) {
      for (const entry of newestOfEach(ofType, period, timezone).slice(0, kept))
        keep(entry, `the newest of its ${period}`)
    }
    if (WAL_BASES.includes(type)) {
      const base = ofType.find(({ started_at }) => Date.parse(started_at) <= cutoff)
      keep(base, `WAL of the last ${rules.days} days is replayed onto it`)
    }
  }
  // Oldest last, so that one pass follows whole chains.
  for (const entry of all) {
    if (!reasons.has(entry.id)) continue
    for (let base = baseOf(all, entry); base !== undefined; base = baseOf(all, base)) {
      const reason = `${entry.id} adds to it`
      if (reasons.get(base.id)?.includes(reason)) break
      keep(base, reason)
    }
  }
  return {
    keep: all.filter(({ id }) => reasons.has(id)).map(({ id }) => ({ id, reasons: reasons.get(id) as string[] })),
    remove: all.filter(({ id }) => !reasons.has(id)).map(({ id }) => id),
  }
}

const baseOf = (all: readonly Entry[], { base }: Entry): Entry | undefined => all.find(({ id }) => id === base)

/** Of entries that are sorted by time, the newest first: the first of each period. */
function newestOfEach(entries: readonly Entry[], period: 'day' | 'week' | 'month', timezone: string): Entry[] {
  const seen = new Set<string>()
  // Sweden writes dates as ISO 8601 does.
  const dates = new Intl.DateTimeFormat('sv-SE', { timeZone: timezone, dateStyle: 'short' })
  return entries.filter((entry) => {
    const key = periodOf(dates.format(new Date(entry.started_at)), period)
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}

/** The local date itself, that of the Monday before, or the month. */
function periodOf(date: string, period: 'day' | 'week' | 'month'): string {
  if (period === 'day') return date
  if (period === 'month') return date.slice(0, 7)
  const day = new Date(`${date}T00:00:00Z`)
  day.setUTCDate(day.getUTCDate() - ((day.getUTCDay() + 6) % 7))
  return day.toISOString().slice(0, 10)
}
