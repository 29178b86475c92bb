// Whether a backup is worth anything, at four levels of certainty and cost.

import { BackupError } from './backup-error.ts'
import { checkFiles } from './check-files.ts'
import type { Desk } from './desk.ts'
import type { JobContext, VerifyLevel } from './driver.ts'
import { driverOf } from './drivers.ts'
import { openChain } from './open-chain.ts'
import { runJob } from './run-job.ts'

export interface Verified {
  id: string
  level: VerifyLevel
  /** What was read, itself and those it adds to. */
  backups: number
}

/** @throws BackupError `damaged` or `different` when it is not what was backed up */
export async function verifyBackup(
  desk: Desk,
  { id, level }: { id: string; level: VerifyLevel },
  context: JobContext & { onStarted?(jobId: string): void },
): Promise<Verified> {
  const definition = { kind: 'verify', backupId: id, request: { level } } as const
  const { verified } = await runJob(desk.store, definition, context, async (context) => {
    const chain = await openChain(desk.destination, id, context)
    try {
      const { backups } = chain
      const last = backups.at(-1)
      if (last === undefined) throw new BackupError('not_found', `there is no backup ${id}`)
      for (const backup of backups) await checkFiles(backup, context)
      if (level >= 1) await driverOf(last.manifest.type).read({ ...context, chain: backups })
      return { verified: { id, level, backups: backups.length }, result: { level, backups: backups.length } }
    } finally {
      await chain.release()
    }
  })
  return verified
}
