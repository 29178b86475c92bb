// Which base backup a recovery starts from: the newest that is older than the moment that is wanted.

import { BackupError } from '../backup-error.ts'
import type { Destination } from '../destinations/destination.ts'
import type { JobContext } from '../driver.ts'
import type { Manifest } from '../manifest.ts'
import { PGBACKREST } from '../pgbackrest/details.ts'
import { keptBackups } from '../pgbackrest/kept-backups.ts'
import { baseBackupDetails } from '../physical/base-backup-details.ts'
import { PHYSICAL } from '../physical/base-backup-driver.ts'
import { lsnNumber, type RecoveryTarget } from './recovery-target.ts'

/** Where base backups are, and what is replayed onto them. */
export interface BaseOrder {
  destination: Destination
  /** Of a base backup; absent: the newest one that leads to the target. */
  base?: string
  /** For postgresql.conf; undefined: the log of pgBackRest's repository, or only what is in the base backup. */
  restoreCommand: string | undefined
}

/**
 * Base backups, the newest first; only the one that is named, when one is. Without an archive of the log they are those of
 * pgBackRest, which has the log in its repository, and where there are none, physical ones, which lead to their own end.
 * @throws BackupError `not_found`, `refused`
 */
export async function listBases(
  { destination, base: id, restoreCommand }: BaseOrder,
  context: JobContext,
): Promise<Manifest[]> {
  if (id !== undefined) {
    const { manifest } = await destination.find(id)
    if (manifest.type === PHYSICAL || manifest.type === PGBACKREST) return [manifest]
    throw new BackupError(
      'refused',
      `${id} is of type ${manifest.type}; a recovery starts from one of type ${PHYSICAL} or ${PGBACKREST}`,
    )
  }
  const { backups } = await destination.list()
  const newestFirst = backups.map(({ manifest }) => manifest).toSorted((a, b) => (a.id < b.id ? 1 : -1))
  const ofPgbackrest = newestFirst.filter(({ type }) => type === PGBACKREST)
  if (restoreCommand === undefined && ofPgbackrest.length > 0) {
    const kept = await keptBackups(ofPgbackrest, context)
    if (kept.length > 0) return kept
    throw new BackupError('not_found', `pgBackRest has none of the backups of ${destination.name} any more`)
  }
  const physical = newestFirst.filter(({ type }) => type === PHYSICAL)
  if (physical.length > 0) return physical
  const instead = ofPgbackrest.length > 0 ? `; for those of ${PGBACKREST} leave out --wal` : ''
  throw new BackupError('not_found', `there is no backup of type ${PHYSICAL} in ${destination.name}${instead}`)
}

/** @throws BackupError `refused` when all are too new */
export function chooseBase(
  bases: Manifest[],
  target: Exclude<RecoveryTarget, { kind: 'event' }> | { kind: 'position'; position: number },
): Manifest {
  const isOlder = (manifest: Manifest): boolean => {
    const details = baseBackupDetails(manifest)
    switch (target.kind) {
      case 'latest':
        return true
      case 'time':
        return Date.parse(manifest.finished_at) <= Date.parse(target.time)
      case 'lsn':
        return lsnNumber(details.end_lsn) <= lsnNumber(target.lsn)
      case 'position':
        return details.head < target.position
    }
  }
  const base = bases.find(isOlder)
  if (base !== undefined) return base
  throw new BackupError(
    'refused',
    'that moment is before the end of every base backup there is: nothing leads back to it',
  )
}
