// What a schedule does when it has come due.

import type { StoreAddress } from '../../db/backup/store-connection.ts'
import { BackupError } from '../backup-error.ts'
import { readCatalogue } from '../catalogue.ts'
import { createBackup } from '../create-backup.ts'
import type { Desk } from '../desk.ts'
import type { Destination } from '../destinations/destination.ts'
import type { JobContext } from '../driver.ts'
import type { Manifest } from '../manifest.ts'
import type { BackupPolicy, Schedule } from '../policy/policy.ts'
import { pruneBackups } from '../prune-backups.ts'
import { verifyBackup } from '../verify-backup.ts'

export interface ScheduledWork {
  store: StoreAddress
  policy: Readonly<BackupPolicy>
  local: Destination
  /** Undefined while BACKUP_OFFSITE is not set. */
  offsite: Destination | undefined
}

/** Those that can run: without a second place what goes there is left out. */
export const activeSchedules = ({ policy, offsite }: Pick<ScheduledWork, 'policy' | 'offsite'>): Schedule[] =>
  policy.schedules.filter((each) => offsite !== undefined || each.task !== 'create' || each.to !== 'offsite')

/** @throws BackupError */
export async function runSchedule(schedule: Schedule, work: ScheduledWork, context: JobContext): Promise<void> {
  const { store, policy, local, offsite } = work
  if (schedule.task === 'prune') {
    for (const destination of [local, ...(offsite === undefined ? [] : [offsite])]) {
      await pruneBackups({ destination, store }, { policy, now: new Date(), isDryRun: false }, context)
    }
    return
  }
  const destination = schedule.to === 'offsite' ? offsite : local
  if (destination === undefined) throw new BackupError('refused', 'BACKUP_OFFSITE is not set')
  const desk = { destination, store }
  const { id } = await create(desk, schedule, context)
  if (schedule.verify !== undefined) await verifyBackup(desk, { id, level: schedule.verify }, context)
}

async function create(
  desk: Desk,
  { type, incremental, kind }: Extract<Schedule, { task: 'create' }>,
  context: JobContext,
): Promise<Manifest> {
  const request = { type, options: kind === undefined ? {} : { kind } }
  const since = incremental === true ? await newestOf(desk, type) : undefined
  if (since === undefined) return createBackup(desk, request, context)
  try {
    return await createBackup(desk, { ...request, since }, context)
  } catch (error) {
    // What it would add to is of another history, or damaged: then a whole one is what is needed.
    const isAboutTheBase = error instanceof BackupError && ['refused', 'damaged', 'not_found'].includes(error.kind)
    if (!isAboutTheBase) throw error
    context.log(`a whole backup instead of one that adds to ${since}: ${error.message}`)
    return createBackup(desk, request, context)
  }
}

async function newestOf(desk: Desk, type: string): Promise<string | undefined> {
  const { entries } = await readCatalogue(desk)
  return entries.find((entry) => entry.type === type && entry.state === 'complete' && isAt(desk, entry))?.id
}

const isAt = ({ destination }: Desk, entry: { destination: string }): boolean => entry.destination === destination.name
