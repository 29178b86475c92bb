// Which backups of the catalogue the repository still has: pgBackRest removes the oldest by itself.

import type { JobContext } from '../driver.ts'
import type { Manifest } from '../manifest.ts'
import { labelOf } from './details.ts'
import { info, openPgbackrest } from './program.ts'

/** @throws BackupError `refused` without the repository */
export async function keptBackups(manifests: Manifest[], context: JobContext): Promise<Manifest[]> {
  const { backups } = await info(await openPgbackrest(context))
  const labels = new Set(backups.map(({ label }) => label))
  return manifests.filter((manifest) => labels.has(labelOf(manifest)))
}
