// `latest` in the place of an id.

import { BackupError } from '../backup-error.ts'
import type { Destination } from './destination.ts'

const LATEST = 'latest'

/** Of `latest` the newest backup there that says what was in the store; of anything else itself. @throws BackupError `not_found` */
export async function resolveId(destination: Destination, given: string): Promise<string> {
  if (given !== LATEST) return given
  const { backups } = await destination.list()
  const ids = backups.flatMap(({ manifest }) => (manifest.contents === null ? [] : [manifest.id])).toSorted()
  const newest = ids.at(-1)
  if (newest !== undefined) return newest
  throw new BackupError('not_found', `there is no backup of a store in ${destination.name}`)
}
