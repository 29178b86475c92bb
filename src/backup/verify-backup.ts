// Whether a backup is worth anything, at four levels of certainty and cost.

import { compareEvents, type RowDifferences } from '../db/backup/compare-rows.ts'
import { readHead, readInOrder } from '../db/backup/read-store.ts'
import { createScratch } from '../db/backup/scratch.ts'
import type { StoreAddress } from '../db/backup/store-connection.ts'
import { BackupError } from './backup-error.ts'
import { checkBackupId } from './backup-id.ts'
import type { Desk } from './desk.ts'
import type { JobContext, VerifyLevel } from './driver.ts'
import type { Manifest } from './manifest.ts'
import { type Checked, openChecked } from './open/open-checked.ts'
import { inOwnTransaction } from './own-transaction.ts'
import { prepareInto, restoreInto } from './restore/restore-into.ts'
import { runJob } from './run-job.ts'

export interface Verified {
  id: string
  level: VerifyLevel
  /** How many were read: itself and those it adds to. */
  backups: number
  /** Where it was restored to for the test, from level 2 on. */
  scratch?: 'database' | 'schema' | 'server'
  /** Events that were compared with those of the live store, at level 3. */
  compared?: number
  /** What was found on a server of its own, for what is no part of a store. */
  found?: Record<string, number>
}

/** @throws BackupError `damaged` or `different` when it is not what was backed up */
export async function verifyBackup(
  desk: Desk,
  { id, level }: { id: string; level: VerifyLevel },
  context: JobContext & { onStarted?(jobId: string): void },
): Promise<Verified> {
  if (level >= 2 && desk.store === undefined) {
    throw new BackupError('refused', `level ${level} needs a server to restore on: set DATABASE_URL`)
  }
  // Else the catalogue would keep a job for what can be no backup.
  checkBackupId(id)
  const definition = { kind: 'verify', backupId: id, request: { level } } as const
  const { result } = await runJob(desk.store, definition, context, async (context) => {
    const checked = await openChecked(desk.destination, id, context, level === 0 ? 0 : 1)
    try {
      const tried = level < 2 ? {} : await tryOutAny(checked, desk.store as StoreAddress, level === 3, context)
      const result: Verified = { id, level, backups: checked.backups.length, ...tried }
      return { result: { ...result } }
    } finally {
      await checked.release()
    }
  })
  return result
}

async function tryOutAny(
  checked: Checked,
  store: StoreAddress,
  isCompared: boolean,
  context: JobContext,
): Promise<Pick<Verified, 'scratch' | 'compared' | 'found'>> {
  const { driver, backups: chain, manifest } = checked
  if (driver.outside === undefined) return tryOut(checked, store, { isCompared }, context)
  if (isCompared) {
    throw new BackupError(
      'refused',
      `what ${manifest.id} holds changes all the time, so there is nothing to compare it with: level 2 is the highest`,
    )
  }
  return { scratch: 'server', found: await driver.outside.tryOut({ ...context, chain }) }
}

/** Restores into a scratch database and drops it, whatever happens; compared with the live store when it is asked for. */
export async function tryOut(
  checked: Checked,
  store: StoreAddress,
  { isCompared }: { isCompared: boolean },
  context: JobContext,
): Promise<{ scratch: 'database' | 'schema'; compared?: number }> {
  if (isCompared) await refuseOtherHistory(store, checked.manifest, context)
  const scratch = await createScratch(store, { mayBeSchema: checked.driver.load !== undefined })
  try {
    const into = { target: scratch.address, isForced: false }
    const quiet = { ...context, log: () => {} }
    await prepareInto(checked, into, quiet)
    await restoreInto(checked, into, quiet)
    if (!isCompared) return { scratch: scratch.kind }
    return { scratch: scratch.kind, compared: await compare(checked, scratch.address, store, context) }
  } finally {
    await scratch.drop()
  }
}

/** Whether the live store goes on from where the backup was taken, so that their rows can be the same. */
export async function isSameHistory(
  store: StoreAddress,
  { contents }: Manifest,
  { signal }: JobContext,
): Promise<boolean> {
  const { epoch, head } = await inOwnTransaction(store, { purpose: 'verify', mode: 'read', signal }, (client) =>
    readHead(client, store.schema),
  )
  return contents !== null && epoch === contents.epoch && head >= contents.head
}

async function refuseOtherHistory(store: StoreAddress, manifest: Manifest, context: JobContext): Promise<void> {
  if (await isSameHistory(store, manifest, context)) return
  throw new BackupError(
    'refused',
    `the live store is not the one that ${manifest.id} was taken from, or went back since: level 3 has nothing to compare with`,
  )
}

async function compare(
  { manifest }: Checked,
  scratch: StoreAddress,
  store: StoreAddress,
  { signal, progress }: JobContext,
): Promise<number> {
  const { head = 0, events = 0 } = manifest.contents ?? {}
  const differences = await inSnapshot(scratch, signal, (left) =>
    inSnapshot(store, signal, (right) =>
      compareEvents(left, right, {
        head,
        signal,
        onRows: (done) => progress({ step: 'comparing with the live store', unit: 'events', done, total: events }),
      }),
    ),
  )
  refuseDifferences(manifest.id, differences)
  return differences.compared
}

function refuseDifferences(id: string, { different, left, right, evidence }: RowDifferences): void {
  if (different + left + right === 0) return
  const counts = [
    ...(different > 0 ? [`${different} differ`] : []),
    ...(left > 0 ? [`${left} are only in the backup`] : []),
    ...(right > 0 ? [`${right} are only in the store`] : []),
  ]
  throw new BackupError('different', `the events of ${id} are not those of the live store: ${counts.join(', ')}`, {
    evidence,
  })
}

type Side = Parameters<typeof compareEvents>[0]

const inSnapshot = <T>(store: StoreAddress, signal: AbortSignal, work: (side: Side) => Promise<T>): Promise<T> =>
  inOwnTransaction(store, { purpose: 'verify', mode: 'snapshot', signal }, async (client) => {
    await readInOrder(client)
    return work({ client, schema: store.schema })
  })
