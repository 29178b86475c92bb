// What is known of the store's health at the moment: by asking, and by what appends and followers met.

import type { HealthSnapshot } from '../db/health-monitor.ts'
import type { Connected } from './connected.ts'

/** What the monitor knows, and what the store met. */
export interface BackendHealth extends HealthSnapshot {
  /** It serves, and this is not as it should be. */
  degraded: 'database_full'[]
}

// What was stored here since the monitor asked counts too. Only for a moment: a store can be restored to an earlier
// state under a running service.
const FRESH_MS = 3_000

/** Asks nobody. */
export function healthOf({ monitor, log, hub, wakeUps }: Connected): BackendHealth {
  const known = monitor.snapshot()
  const degraded: BackendHealth['degraded'] = log.isFull ? ['database_full'] : []
  const snapshot = {
    ...known,
    degraded,
    checks: {
      ...known.checks,
      store: { status: log.isFull ? 'database_full' : 'ok' },
      follow: { followers: hub.followers, wake_ups: wakeUps.state },
    },
  }
  const { lastAppend } = log
  if (snapshot.eventCount === null || lastAppend === undefined) return snapshot
  if (performance.now() - lastAppend.at > FRESH_MS) return snapshot
  return { ...snapshot, eventCount: Math.max(snapshot.eventCount, lastAppend.position) }
}
