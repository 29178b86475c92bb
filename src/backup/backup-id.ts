// Names of backups: the moment at which they began, to the second, in UTC.

import { setTimeout as sleep } from 'node:timers/promises'
import { BackupError } from './backup-error.ts'
import { BACKUP_ID } from './manifest.ts'

/** `YYYYMMDD_HHMMSS`. */
export const stampOf = (at: Date): string =>
  at.toISOString().replace(/^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+).*$/, '$1$2$3_$4$5$6')

/** `backup_YYYYMMDD_HHMMSS`. */
export const backupIdOf = (at: Date): string => `backup_${stampOf(at)}`

/** Ids become parts of paths. @throws BackupError `refused` */
export function checkBackupId(id: string): string {
  if (new RegExp(BACKUP_ID).test(id)) return id
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
