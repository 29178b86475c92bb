// The drill: the newest backup that has passed a check, restored as if everything were lost, compared, and written down.

import { BackupError } from './backup-error.ts'
import { readCatalogue } from './catalogue.ts'
import type { Desk } from './desk.ts'
import type { JobContext } from './driver.ts'
import { driverOf } from './drivers.ts'
import { openChecked } from './open-checked.ts'
import { runJob } from './run-job.ts'
import { isSameHistory, tryOut } from './verify-backup.ts'

export interface Tested {
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

/** `id`: default the newest that has passed any level. @throws BackupError, and the job says so in the catalogue */
export async function testBackup(
  desk: Desk,
  id: string | undefined,
  context: JobContext & { onStarted?(jobId: string): void },
): Promise<Tested> {
  const { store } = desk
  if (store === undefined) throw new BackupError('refused', 'a test needs a server to restore on: set DATABASE_URL')
  const tested = id ?? (await newestVerified(desk))
  const definition = { kind: 'test', backupId: tested, request: {} } as const
  const { result } = await runJob(store, definition, context, async (context) => {
    const startedAt = performance.now()
    const checked = await openChecked(desk.destination, tested, context)
    try {
      const { contents } = checked.manifest
      if (contents === null)
        throw new BackupError('refused', `the manifest of ${tested} says nothing that could be compared`)
      const isCompared = await isSameHistory(store, checked.manifest, context)
      const tried = await tryOut(checked, store, { isCompared }, context)
      const result: Tested = {
        ...{
          id: tested,
          events: contents.events,
          snapshots: contents.snapshots,
          events_digest: contents.events_digest,
        },
        ...{ scratch: tried.scratch ?? 'database', compared: tried.compared ?? null },
        seconds: Math.round((performance.now() - startedAt) / 100) / 10,
      }
      return { result: { ...result } }
    } finally {
      await checked.release()
    }
  })
  return result
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
