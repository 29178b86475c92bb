// Annals' own backup: needs no program of PostgreSQL, and no server of the same version to go back into.

import type { BackupDriver } from '../driver.ts'
import { loadArchive } from './load-archive.ts'
import { readArchive } from './read-archive.ts'
import { writeArchive } from './write-archive.ts'

export const archiveDriver: BackupDriver = {
  type: 'archive',
  about: {
    summary: 'events, snapshots and consumers as compressed files of rows',
    advantages: [
      'goes into any supported version of PostgreSQL',
      'can be checked to the last row without a server',
      'increments by position',
    ],
    disadvantages: ['indexes are built again on restore', 'nothing but the store: no other tables, no roles'],
    needs: [],
  },
  isIncremental: true,
  takes: [],
  create: writeArchive,
  read: readArchive,
  load: loadArchive,
}
