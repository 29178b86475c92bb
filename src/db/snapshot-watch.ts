// How far streams are ahead of their snapshots, for the metrics: found out in the background, a few streams at a time.

import { setTimeout as sleep } from 'node:timers/promises'
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
  startedAt: number
}

// The database rests fifty times as long as a page took, so all this takes 2 % of one connection's time at most.
const REST = 50

export class SnapshotWatch {
  readonly #options: SnapshotWatchOptions
  readonly #stopped = new AbortController()
  #known: KnownCoverage | undefined

  constructor(options: SnapshotWatchOptions) {
    this.#options = options
  }

  /** Undefined before the first round is over. */
  get known(): KnownCoverage | undefined {
    return this.#known
  }

  start(): void {
    void this.#run()
  }

  stop(): void {
    this.#stopped.abort()
  }

  async #run(): Promise<void> {
    const { intervalMs = 60_000 } = this.#options
    while (!this.#stopped.signal.aborted) {
      // After a failure the age of what is known says that nothing was found out since.
      await this.#round().catch(() => {})
      await this.#pause(intervalMs)
    }
  }

  async #round(): Promise<void> {
    const { snapshots, moreThan, pageStreams = 1_000 } = this.#options
    const sums: KnownCoverage = { streams: 0, behind: 0, largestLag: 0, startedAt: performance.now() }
    for (let after: string | null = ''; after !== null; ) {
      const pageAt = performance.now()
      const page = await snapshots.sumCoverage({ moreThan, after, streams: pageStreams })
      sums.streams += page.checked
      sums.behind += page.behind
      sums.largestLag = Math.max(sums.largestLag, page.largestLag)
      after = page.next
      if (after === null) break
      await this.#pause(REST * (performance.now() - pageAt))
      if (this.#stopped.signal.aborted) return
    }
    this.#known = sums
  }

  #pause(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.#stopped.signal, ref: false }).catch(() => {})
  }
}
