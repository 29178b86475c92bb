// The drill: the newest backup that has passed a check, restored as if everything were lost, compared, and written down.

import type { StoreAddress } from '../db/backup/store-connection.ts'
import { BackupError } from './backup-error.ts'
import { checkBackupId } from './backup-id.ts'
import { readCatalogue } from './catalogue.ts'
import type { Desk } from './desk.ts'
import type { JobContext } from './driver.ts'
import { driverOf } from './drivers.ts'
import { type Checked, openChecked } from './open/open-checked.ts'
import { runJob } from './run-job.ts'
import { isSameHistory, tryOut } from './verify-backup.ts'

interface TestedStore {
  id: string
  events: number
  snapshots: number
  /** Of all streams; the same as when the backup was made. */
  events_digest: string
  scratch: 'database' | 'schema'
  /** Events that were compared with the live store; null when it has another history by now. */
  compared: number | null
  seconds: number
}

/** Of what is no part of a store. */
interface TestedOutside {
  id: string
  scratch: 'server'
  /** What came back, by name. */
  found: Record<string, number>
  seconds: number
}

export type Tested = TestedStore | TestedOutside

/** `id`: default the newest that has passed any level. @throws BackupError, and the job says so in the catalogue */
export async function testBackup(
  desk: Desk,
  id: string | undefined,
  context: JobContext & { onStarted?(jobId: string): void },
): Promise<Tested> {
  const { store } = desk
  if (store === undefined) throw new BackupError('refused', 'a test needs a server to restore on: set DATABASE_URL')
  const tested = checkBackupId(id ?? (await newestVerified(desk)))
  const definition = { kind: 'test', backupId: tested, request: {} } as const
  const { result } = await runJob(store, definition, context, async (context) => {
    const startedAt = performance.now()
    const checked = await openChecked(desk.destination, tested, context)
    try {
      const tried = await tryOutAlone(checked, store, context)
      const result: Tested = { id: tested, ...tried, seconds: Math.round((performance.now() - startedAt) / 100) / 10 }
      return { result: { ...result } }
    } finally {
      await checked.release()
    }
  })
  return result
}

/** As {@link Tested}, without whose and how long. */
async function tryOutAlone(
  checked: Checked,
  store: StoreAddress,
  context: JobContext,
): Promise<Omit<TestedStore, 'id' | 'seconds'> | Omit<TestedOutside, 'id' | 'seconds'>> {
  const { manifest, driver, backups: chain } = checked
  if (driver.outside !== undefined) {
    return { scratch: 'server', found: await driver.outside.tryOut({ ...context, chain }) }
  }
  const { contents } = manifest
  if (contents === null)
    throw new BackupError('refused', `the manifest of ${manifest.id} says nothing that could be compared`)
  const isCompared = await isSameHistory(store, manifest, context)
  const { scratch, compared = null } = await tryOut(checked, store, { isCompared }, context)
  const { events, snapshots, events_digest } = contents
  return { events, snapshots, events_digest, scratch, compared }
}

async function newestVerified(desk: Desk): Promise<string> {
  const { entries } = await readCatalogue(desk)
  const newest = entries.find(({ state, type, verified }) => {
    const { load, restore } = driverOf(type)
    return state === 'complete' && verified !== null && (load ?? restore) !== undefined
  })
  if (newest !== undefined) return newest.id
  throw new BackupError('not_found', 'there is no verified backup: run `annals backup verify` on one, or name one')
}
