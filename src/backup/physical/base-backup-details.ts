// A base backup's own part of the manifest.

import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { BackupError } from '../backup-error.ts'
import type { OpenBackup } from '../driver.ts'
import type { Manifest } from '../manifest.ts'

const lsn = Type.String({ pattern: '^[0-9A-F]{1,8}/[0-9A-F]{1,8}$' })

const BaseBackupDetails = Type.Object({
  /** Of the server: only the same major version can start from it. */
  major: Type.Integer({ minimum: 15 }),
  system_identifier: Type.String(),
  /** The role that made the cluster; it may do everything. */
  superuser: Type.String({ minLength: 1 }),
  timeline: Type.Integer({ minimum: 1 }),
  /** The log that it needs to be whole; it is in it. */
  start_lsn: lsn,
  end_lsn: lsn,
  /** Last position when it ended: no later moment can be left out by a recovery from it. */
  head: Type.Integer({ minimum: 0 }),
})
export type BaseBackupDetails = Static<typeof BaseBackupDetails>

/** @throws BackupError `damaged` for a manifest that contradicts itself */
export function baseBackupDetails({ id, details }: Manifest): BaseBackupDetails {
  const error = Value.Errors(BaseBackupDetails, details).First()
  if (error === undefined) return details as BaseBackupDetails
  throw new BackupError(
    'damaged',
    `the manifest of ${id} is not that of a base backup: ${error.path}: ${error.message}`,
  )
}

/** Base backups do not add to each other. */
export function onlyBase(chain: OpenBackup[]): OpenBackup {
  const [backup] = chain
  if (backup !== undefined && chain.length === 1) return backup
  throw new BackupError('damaged', 'a base backup does not add to another backup')
}
