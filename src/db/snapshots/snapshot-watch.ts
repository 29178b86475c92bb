// How far streams are ahead of their snapshots, for the metrics: a few streams at a time.

import { setTimeout as sleep } from 'node:timers/promises'
import { Watch } from '../watch.ts'
import type { PostgresSnapshots } from './snapshots.ts'

export interface SnapshotWatchOptions {
  snapshots: Pick<PostgresSnapshots, 'sumCoverage'>
  /** A stream with more events than this since its snapshot is behind. */
  moreThan: number
  /** From the end of one round to the begin of the next; default 60,000. */
  intervalMs?: number
  /** Looked at by one statement; default 1,000. */
  pageStreams?: number
}

/** All streams, as of the last time that they were gone through. */
export interface KnownCoverage {
  streams: number
  behind: number
  largestLag: number
  /** When going through them began, by performance.now(): nothing here is older. */
  at: number
}

// The database rests fifty times as long as a page took, so all this takes 2 % of one connection's time at most.
const REST = 50

/** After a failure the age of what is known says that nothing was found out since. */
export class SnapshotWatch extends Watch<KnownCoverage> {
  constructor(options: SnapshotWatchOptions) {
    super(options.intervalMs ?? 60_000, (signal) => goThrough(options, signal))
  }
}

async function goThrough(options: SnapshotWatchOptions, signal: AbortSignal): Promise<KnownCoverage> {
  const { snapshots, moreThan, pageStreams = 1_000 } = options
  const sums: KnownCoverage = { streams: 0, behind: 0, largestLag: 0, at: performance.now() }
  let after = ''
  for (;;) {
    const pageAt = performance.now()
    const page = await snapshots.sumCoverage({ moreThan, after, streams: pageStreams })
    sums.streams += page.checked
    sums.behind += page.behind
    sums.largestLag = Math.max(sums.largestLag, page.largestLag)
    if (page.next === null) return sums
    after = page.next
    await sleep(REST * (performance.now() - pageAt), undefined, { signal, ref: false })
  }
}
