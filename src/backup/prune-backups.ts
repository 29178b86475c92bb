// Removing what the policy does not keep.

import { listBackups, putBackup } from '../db/backup/backup-records.ts'
import { readCatalogue } from './catalogue.ts'
import type { Desk } from './desk.ts'
import type { JobContext } from './driver.ts'
import type { BackupPolicy } from './policy/policy.ts'
import { planRetention, type RetentionPlan } from './retention.ts'
import { type JobCatalogue, runJob } from './run-job.ts'

export interface PruneOrder {
  policy: BackupPolicy
  now: Date
  /** Only says what would go. */
  isDryRun: boolean
}

/**
 * Removes one backup after another, those that add to others first; what is broken off leaves whole backups. A backup
 * that can't be read is not touched.
 * @throws BackupError
 */
export async function pruneBackups(
  desk: Desk,
  { policy, now, isDryRun }: PruneOrder,
  context: JobContext & { onStarted?(jobId: string): void },
): Promise<RetentionPlan> {
  const plan = async () => {
    const { entries, attested, faults } = await readCatalogue(desk)
    for (const fault of faults) context.log(`note: ${fault}`)
    if (attested.length > 0) {
      const ids = attested.map(({ id }) => id).join(', ')
      context.log(`note: ${ids} were made elsewhere: no rule counts them, and whoever made them removes them`)
    }
    const here = entries.filter(
      ({ state, destination }) => state === 'complete' && destination === desk.destination.name,
    )
    return planRetention(here, policy.retention, { now, timezone: policy.timezone })
  }
  if (isDryRun) return plan()
  const definition = { kind: 'prune', backupId: null, request: { retention: policy.retention } } as const
  const { planned } = await runJob(desk.store, definition, context, async (context, catalogue) => {
    const planned = await plan()
    for (const id of planned.remove) {
      context.signal.throwIfAborted()
      await desk.destination.remove(id)
      if (catalogue !== undefined) await noteRemoved(catalogue, id)
    }
    return { planned, result: { removed: planned.remove, kept: planned.keep.length } }
  })
  return planned
}

async function noteRemoved({ query, store }: JobCatalogue, id: string): Promise<void> {
  const known = (await listBackups(query, store.schema)).find((record) => record.id === id)
  if (known !== undefined) await putBackup(query, store.schema, { ...known, state: 'removed' })
}
