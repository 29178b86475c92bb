// The part of the manifest that is pgBackRest's: what a base backup has, and where it is in the repository.

import { BackupError } from '../backup-error.ts'
import type { Manifest } from '../manifest.ts'
import { type BaseBackupDetails, baseBackupDetails } from '../physical/base-backup-details.ts'

export const PGBACKREST = 'pgbackrest'

const LABEL = /^\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?$/

export interface PgbackrestDetails extends BaseBackupDetails {
  label: string
  kind: 'full' | 'diff' | 'incr'
  /** What it added to the repository. */
  repository_bytes: number
}

/** Its name in the repository. @throws BackupError `damaged` for a manifest that contradicts itself */
export function labelOf(manifest: Manifest): string {
  const { label } = baseBackupDetails(manifest) as Partial<PgbackrestDetails>
  if (typeof label === 'string' && LABEL.test(label)) return label
  throw new BackupError('damaged', `the manifest of ${manifest.id} names no backup of pgBackRest`)
}
