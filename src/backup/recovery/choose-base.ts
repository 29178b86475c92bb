// Which base backup a recovery starts from: the newest that is older than the moment that is wanted.

import { BackupError } from '../backup-error.ts'
import type { Destination } from '../destination.ts'
import type { Manifest } from '../manifest.ts'
import { PGBACKREST } from '../pgbackrest/details.ts'
import { baseBackupDetails } from '../physical/base-backup-details.ts'
import { PHYSICAL } from '../physical/base-backup-driver.ts'
import { lsnNumber, type RecoveryTarget } from './recovery-target.ts'

/** Base backups, the newest first; only the one that is named, when one is. @throws BackupError `not_found`, `refused` */
export async function listBases(destination: Destination, id: string | undefined): Promise<Manifest[]> {
  if (id !== undefined) {
    const { manifest } = await destination.find(id)
    if (manifest.type === PHYSICAL || manifest.type === PGBACKREST) return [manifest]
    throw new BackupError(
      'refused',
      `${id} is of type ${manifest.type}; a recovery starts from one of type ${PHYSICAL} or ${PGBACKREST}`,
    )
  }
  const { backups } = await destination.list()
  const bases = backups.map(({ manifest }) => manifest).filter(({ type }) => type === PHYSICAL)
  if (bases.length > 0) return bases.toSorted((a, b) => (a.id < b.id ? 1 : -1))
  throw new BackupError(
    'not_found',
    `there is no backup of type ${PHYSICAL} in ${destination.name}; name one of type ${PGBACKREST} with --base`,
  )
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
