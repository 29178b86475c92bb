// The figures about backups for the metrics, found out in the background: a scrape must not wait for the database.

import { setTimeout as sleep } from 'node:timers/promises'
import type { RunQuery } from '../migration-ledger.ts'
import { type BackupFigures, readBackupFigures } from './backup-figures.ts'

export interface BackupWatchOptions {
  query: RunQuery
  schema: string
  /** Default 15,000. */
  intervalMs?: number
}

/** As of `at`, by performance.now(). */
export interface KnownFigures extends BackupFigures {
  at: number
}

export class BackupWatch {
  readonly #options: BackupWatchOptions
  readonly #stopped = new AbortController()
  #known: KnownFigures | undefined

  constructor(options: BackupWatchOptions) {
    this.#options = options
  }

  /** Undefined before they were read. */
  get known(): KnownFigures | undefined {
    return this.#known
  }

  start(): void {
    void this.#run()
  }

  stop(): void {
    this.#stopped.abort()
  }

  async #run(): Promise<void> {
    const { query, schema, intervalMs = 15_000 } = this.#options
    const { signal } = this.#stopped
    while (!signal.aborted) {
      const at = performance.now()
      // After a failure, or without a catalogue, the age of what is known says that nothing was found out since.
      await readBackupFigures(query, schema).then(
        (figures) => {
          this.#known = { ...figures, at }
        },
        () => {},
      )
      await sleep(intervalMs, undefined, { signal, ref: false }).catch(() => {})
    }
  }
}
