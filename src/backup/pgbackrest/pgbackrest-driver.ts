// Backups by pgBackRest. They are in its repository; the catalogue has what it tells of them.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readServer, readServerFiles } from '../../db/backup/describe-database.ts'
import { readHead } from '../../db/backup/read-store.ts'
import { connectToStore } from '../../db/backup/store-connection.ts'
import { BackupError } from '../backup-error.ts'
import type { BackupDriver, CreateRequest, CreateResult, ReadRequest } from '../driver.ts'
import { onlyBase } from '../physical/base-backup-details.ts'
import { labelOf, PGBACKREST, type PgbackrestDetails } from './details.ts'
import type { PgbackrestBackup } from './info.ts'
import { info, openPgbackrest, type Pgbackrest, run } from './program.ts'
import { prepareRepository } from './repository.ts'

export const pgbackrestDriver: BackupDriver = {
  type: PGBACKREST,
  about: {
    summary: 'the files of the whole server by pgBackRest: full, differential or incremental, with its archived log',
    advantages: [
      'recovery to any moment, or to just before an event',
      'differential and incremental backups of a large server are small',
      'pgBackRest keeps 7 full backups by itself, with the log that they need',
    ],
    disadvantages: [
      'the same major version of PostgreSQL only',
      'its repository is a folder of its own: BACKUP_DIR and BACKUP_OFFSITE have the description only',
      'the whole server or nothing',
    ],
    needs: [
      'pgbackrest on the machine of the server, run as the owner of its files or root',
      'BACKUP_PGBACKREST_DIR, and archive_command of the server',
    ],
  },
  isIncremental: false,
  takes: ['kind'],
  create,
  read,
}

async function create(request: CreateRequest): Promise<CreateResult> {
  const { source, options, folder, progress } = request
  const { kind = 'full' } = options
  const client = await connectToStore(source, 'backup')
  try {
    const server = { ...(await readServer(client)), ...(await readServerFiles(client)) }
    const program = await prepareRepository(request, server)
    const before = await info(program)
    progress({ step: 'pgbackrest backup', unit: 'bytes', done: 0, total: null })
    await run(program, 'backup', [`--type=${kind}`])
    const made = await newest(program, before.backups)
    await writeFile(join(folder, 'info.json'), `${JSON.stringify(made, null, 2)}\n`)
    const details: PgbackrestDetails = {
      ...{ major: server.major, system_identifier: server.system_identifier, superuser: server.superuser },
      ...{ timeline: Number.parseInt(made.archive.stop.slice(0, 8), 16) },
      ...{ start_lsn: made.lsn.start, end_lsn: made.lsn.stop },
      head: (await readHead(client, source.schema)).head,
      ...{ label: made.label, kind: made.type, repository_bytes: made.info.repository.delta },
    }
    return { tool: program.version, contents: null, details: { ...details } }
  } finally {
    await client.end().catch(() => {})
  }
}

async function newest(program: Pgbackrest, before: PgbackrestBackup[]): Promise<PgbackrestBackup> {
  const made = (await info(program)).backups.findLast(({ label }) => before.every((each) => each.label !== label))
  if (made === undefined) throw new BackupError('failed', 'pgBackRest made a backup and does not list it')
  if (made.error !== true) return made
  throw new BackupError('damaged', `pgBackRest found pages with a wrong checksum in the server: see ${made.label}`)
}

/** It ends with 0 whatever it finds, so it is taken at its word only when that is that all is well. */
async function read({ chain, ...context }: ReadRequest): Promise<void> {
  const label = labelOf(onlyBase(chain).manifest)
  const program = await openPgbackrest(context)
  const { backups } = await info(program)
  if (!backups.some((each) => each.label === label)) {
    throw new BackupError('damaged', `pgBackRest does not have ${label} any more: it keeps the newest full backups`)
  }
  const said = await run(program, 'verify', ['--output=text', '--verbose'])
  const lines = said.split('\n').map((line) => line.trim())
  if (lines.includes('status: ok') && lines.some((line) => line.startsWith(`backup: ${label}, status: valid`))) return
  throw new BackupError('damaged', `pgbackrest verify found its repository damaged`, {
    evidence: lines.filter((line) => line !== ''),
  })
}
