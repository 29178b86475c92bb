// A backup of pgBackRest as a data folder, to which the archived log is then added by the recovery.

import { chownSync } from 'node:fs'
import type { ServerUser } from '../../db/embedded/server-user.ts'
import { BackupError } from '../backup-error.ts'
import type { JobContext, OpenBackup } from '../driver.ts'
import { onlyEndsWith, settingCommand } from '../wal/wal-configuration.ts'
import { labelOf } from './details.ts'
import { configOf, openPgbackrest, run, STANZA } from './program.ts'

/** Fills `folder`, which is empty; `user` will run the server on it. @throws BackupError `refused`, `failed` */
export async function restoreBase(
  backup: OpenBackup,
  folder: string,
  user: ServerUser | undefined,
  context: JobContext,
): Promise<void> {
  const label = labelOf(backup.manifest)
  const program = await openPgbackrest(context)
  if (user !== undefined && user.uid !== program.user?.uid) {
    // PostgreSQL would take a log that it may not read for one that has ended.
    throw new BackupError('refused', `the owner of ${program.config} has to own ${folder} too, to read the log`)
  }
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  context.progress({ step: 'pgbackrest restore', unit: 'bytes', done: 0, total: null })
  // The recovery says where to stop.
  await run(program, 'restore', [`--set=${label}`, '--type=none', `--pg1-path=${folder}`])
}

/** For `restore_command`. pgBackRest ends with 1 where the log does. */
export function archiveGet(folder: string, context: JobContext): string {
  const get = settingCommand([
    ...['pgbackrest', `--config=${configOf(context)}`, `--stanza=${STANZA}`, `--pg1-path=${folder}`],
    ...['archive-get', '%f', '%p'],
  ])
  return onlyEndsWith(1, get)
}
