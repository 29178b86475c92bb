// Whether a store holds what a backup says: the comparison that ends every restore.

import type pg from 'pg'
import { readContents } from '../db/backup/read-contents.ts'
import type { StoreContents } from '../db/backup/store-contents.ts'
import { BackupError } from './backup-error.ts'
import type { JobContext } from './driver.ts'

const COMPARED = ['head', 'events', 'snapshots', 'events_digest', 'snapshots_digest'] as const

/** In the snapshot of the caller's transaction. @throws BackupError `different` */
export async function compareContents(
  client: pg.Client,
  schema: string,
  expected: StoreContents,
  context: JobContext,
): Promise<StoreContents> {
  const found = await readContents(client, schema, {
    signal: context.signal,
    onRows: (table, done) => {
      const total = table === 'events' ? expected.events : expected.snapshots
      context.progress({ step: `comparing ${table}`, unit: 'events', done, total })
    },
  })
  const evidence = COMPARED.filter((name) => found[name] !== expected[name]).map(
    (name) => `${name}: ${found[name]} in the store, ${expected[name]} in the backup`,
  )
  if (evidence.length === 0) return found
  throw new BackupError('different', 'what the store holds is not what was backed up', { evidence })
}
