// Names of backups: the moment at which they began, to the second, in UTC.

import { setTimeout as sleep } from 'node:timers/promises'
import { BackupError } from './backup-error.ts'
import { BACKUP_ID } from './manifest.ts'

/** `YYYYMMDD_HHMMSS`, in UTC. */
const stampOf = (at: Date): string => at.toISOString().slice(0, 19).replace('T', '_').replaceAll(/[-:]/g, '')

/** `YYYYMMDD_HHMMSS_mmm`, for names that nothing else of the same kind has. */
export const momentOf = (at: Date): string => `${stampOf(at)}_${at.toISOString().slice(20, 23)}`

/** `backup_YYYYMMDD_HHMMSS`. */
export const backupIdOf = (at: Date): string => `backup_${stampOf(at)}`

/** Ids become parts of paths. @throws BackupError `refused` */
export function checkBackupId(id: string): string {
  if (new RegExp(BACKUP_ID).test(id)) return id
  if (id.startsWith('attested_')) {
    throw new BackupError(
      'refused',
      `${id} was made elsewhere and is only attested: Annals has never read it, and can neither check nor restore it. Do that where it was made`,
    )
  }
  throw new BackupError('refused', `${JSON.stringify(id)} is no id of a backup; one looks like backup_20260115_093000`)
}

/** An id that is not among `taken`: ids have seconds, so of two that begin in one second the other takes the next. */
export async function freshId(taken: readonly string[]): Promise<string> {
  for (;;) {
    const id = backupIdOf(new Date())
    if (!taken.includes(id)) return id
    await sleep(200)
  }
}
