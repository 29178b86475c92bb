// When a schedule comes due, in its time zone. On the day when clocks go forward, an hour that does not exist is the one
// after it; on the day when they go back, a time that comes twice counts once.

import { Cron } from 'croner'

export interface Timing {
  cron: string
  timezone: string
}

const cronOf = ({ cron, timezone }: Timing): Cron => new Cron(cron, { mode: '5-part', paused: true, timezone })

/** The first moment after `after`; undefined when there is none. */
export const nextDue = (timing: Timing, after: Date): Date | undefined => cronOf(timing).nextRun(after) ?? undefined

/** The last moment after `since` and up to `now`: however many were missed, they are caught up by one run. */
export function missedDue(timing: Timing, since: Date, now: Date): Date | undefined {
  // Of `previousRuns` the reference itself is no part.
  const [last] = cronOf(timing).previousRuns(1, new Date(now.getTime() + 1_000))
  return last !== undefined && last > since && last <= now ? last : undefined
}
