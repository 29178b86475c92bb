// Whether a store holds what a backup says: the comparison that ends every restore.

import type pg from 'pg'
import { type RowContents, readContents } from '../../db/backup/read-contents.ts'
import { BackupError } from '../backup-error.ts'
import type { JobContext } from '../driver.ts'
import { unitOf } from '../progress.ts'

const OF_EVENTS = ['head', 'events', 'events_digest'] as const
const OF_SNAPSHOTS = ['snapshots', 'snapshots_digest'] as const

export interface Comparison {
  expected: RowContents
  /** Tables that are compared; both when absent. */
  tables?: readonly string[]
}

/** In the snapshot of the caller's transaction. @throws BackupError `different` */
export async function compareContents(
  client: pg.Client,
  schema: string,
  { expected, tables = ['events', 'snapshots'] }: Comparison,
  context: JobContext,
): Promise<void> {
  const found = await readContents(client, schema, {
    tables,
    signal: context.signal,
    onRows: (table, done) => {
      const total = table === 'events' ? expected.events : expected.snapshots
      context.progress({ step: `comparing ${table}`, unit: unitOf(table), done, total })
    },
  })
  const compared = [
    ...(tables.includes('events') ? OF_EVENTS : []),
    ...(tables.includes('snapshots') ? OF_SNAPSHOTS : []),
  ]
  const evidence = compared
    .filter((name) => found[name] !== expected[name])
    .map((name) => `${name}: ${found[name]} in the store, ${expected[name]} in the backup`)
  if (evidence.length === 0) return
  throw new BackupError('different', 'what the store holds is not what was backed up', { evidence })
}
