// A schedule that is run now, by hand or from a crontab, with its outcome noted where services note theirs.

import { putSchedule } from '../../db/backup/schedule-records.ts'
import { asBackupError, type BackupError } from '../backup-error.ts'
import type { JobContext } from '../driver.ts'
import type { Schedule } from '../policy/policy.ts'
import { openCatalogue } from '../run-job.ts'
import { runSchedule, type ScheduledWork } from './run-schedule.ts'

/** What came due until now is done by it too, so a service does not catch it up. @throws BackupError */
export async function runNow(schedule: Schedule, work: ScheduledWork, context: JobContext): Promise<void> {
  const startedAt = new Date().toISOString()
  let error: BackupError | undefined
  try {
    await runSchedule(schedule, work, context)
  } catch (cause) {
    error = asBackupError(cause, context.signal)
  }
  // Another job was at work: this one was not begun.
  if (error?.kind !== 'locked') {
    // A backup that is made stays made when this fails.
    await note(schedule, work, { startedAt, error }).catch((cause: Error) =>
      context.log(`how the schedule went could not be noted for GET /schedules: ${cause.message}`),
    )
  }
  if (error !== undefined) throw error
}

async function note(
  { name }: Schedule,
  { store }: ScheduledWork,
  { startedAt, error }: { startedAt: string; error: BackupError | undefined },
): Promise<void> {
  const client = await openCatalogue(store)
  try {
    await putSchedule((text, values) => client.query(text, values), store.schema, {
      ...{ name, due_at: startedAt, started_at: startedAt, finished_at: new Date().toISOString() },
      ...{ state: error === undefined ? 'succeeded' : 'failed', error: error?.message ?? null },
    })
  } finally {
    await client.end().catch(() => {})
  }
}
