// Every type of backup; one line each.

import { archiveDriver } from './archive/archive-driver.ts'
import { BackupError } from './backup-error.ts'
import type { BackupDriver } from './driver.ts'
import { pgbackrestDriver } from './pgbackrest/pgbackrest-driver.ts'
import { baseBackupDriver } from './physical/base-backup-driver.ts'
import { DUMP_DRIVERS } from './postgres-tools/dump-driver.ts'
import { globalsDriver } from './postgres-tools/globals-driver.ts'
import { redisDriver } from './redis/redis-driver.ts'

export const DRIVERS: readonly BackupDriver[] = [
  archiveDriver,
  ...DUMP_DRIVERS,
  globalsDriver,
  baseBackupDriver,
  pgbackrestDriver,
  redisDriver,
]

/** @throws BackupError `refused` */
export function driverOf(type: string): BackupDriver {
  const driver = DRIVERS.find((each) => each.type === type)
  if (driver !== undefined) return driver
  const known = DRIVERS.map((each) => each.type).join(', ')
  throw new BackupError('refused', `there is no backup of type ${JSON.stringify(type)}; those that are: ${known}`)
}
