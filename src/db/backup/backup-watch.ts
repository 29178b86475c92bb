// The figures about backups, for the metrics.

import type { RunQuery } from '../run-query.ts'
import { Watch } from '../watch.ts'
import { type BackupFigures, readBackupFigures } from './backup-figures.ts'

const INTERVAL_MS = 15_000

/** As of `at`, by performance.now(). */
export interface KnownFigures extends BackupFigures {
  at: number
}

/** After a failure, or without a catalogue, the age of what is known says that nothing was found out since. */
export class BackupWatch extends Watch<KnownFigures> {
  constructor(query: RunQuery, schema: string) {
    super(INTERVAL_MS, async () => {
      const at = performance.now()
      return { ...(await readBackupFigures(query, schema)), at }
    })
  }
}
