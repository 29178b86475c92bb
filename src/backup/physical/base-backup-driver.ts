// A copy of the whole server by pg_basebackup: what recovery to a moment starts from.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { listTablespaces, readServer } from '../../db/backup/describe-database.ts'
import { readHead } from '../../db/backup/read-store.ts'
import { connectToStore } from '../../db/backup/store-connection.ts'
import { BackupError } from '../backup-error.ts'
import type { BackupDriver, CreateRequest, CreateResult, ReadRequest } from '../driver.ts'
import { toolConnection } from '../postgres-tools/connection.ts'
import { findProgram } from '../postgres-tools/find-program.ts'
import { runProgram } from '../postgres-tools/run-program.ts'
import { makeWorkFolder } from '../work-folder.ts'
import { type BaseBackupDetails, onlyBase } from './base-backup-details.ts'
import { PG_MANIFEST, unpackBase } from './unpack-base.ts'

export const PHYSICAL = 'physical'

export const baseBackupDriver: BackupDriver = {
  type: PHYSICAL,
  about: {
    summary: 'the files of the whole server by pg_basebackup, with the log that makes them whole',
    advantages: [
      'with archived WAL: recovery to any moment, or to just before an event',
      'comes back as fast as files are copied, with every index',
      'every database and role of the server',
    ],
    disadvantages: [
      'the same major version of PostgreSQL only',
      'indexes and empty space too',
      'the whole server or nothing',
    ],
    needs: [
      'pg_basebackup and pg_verifybackup of the server’s version, and tar',
      'a role with REPLICATION, which pg_hba.conf lets in for replication',
    ],
  },
  isIncremental: false,
  takes: [],
  create,
  read,
}

async function create({ id, folder, source, pgBin, signal, progress }: CreateRequest): Promise<CreateResult> {
  const client = await connectToStore(source, 'backup')
  try {
    const server = await readServer(client)
    const tablespaces = await listTablespaces(client)
    if (tablespaces.length > 0) {
      throw new BackupError(
        'refused',
        `the server has the tablespaces ${tablespaces.join(', ')}, which Annals would not put back: use pgBackRest`,
      )
    }
    const request = { pgBin, major: server.major, of: 'the server' }
    const program = await findProgram('pg_basebackup', request)
    // What can't be verified is not worth making.
    await findProgram('pg_verifybackup', { ...request, isExact: true })
    const { argument, env } = toolConnection(source.url)
    const args = [
      ...[argument, '--no-password', `--pgdata=${folder}`, '--format=tar', '--gzip', '--checkpoint=fast', '--progress'],
      ...['--wal-method=stream', '--manifest-checksums=SHA256', `--label=annals ${id}`],
    ]
    const onLine = (line: string) => {
      const [, done, total] = /^\s*(\d+)\/(\d+) kB/.exec(line) ?? []
      if (done === undefined || total === undefined) return
      progress({ step: 'pg_basebackup', unit: 'bytes', done: Number(done) * 1024, total: Number(total) * 1024 })
    }
    await runProgram(program, { args, env, signal, onLine })
    const details: BaseBackupDetails = {
      ...{ major: server.major, system_identifier: server.system_identifier, superuser: server.superuser },
      ...(await readRange(join(folder, PG_MANIFEST))),
      head: (await readHead(client, source.schema)).head,
    }
    return { tool: `pg_basebackup ${program.version}`, contents: null, details: { ...details } }
  } finally {
    await client.end().catch(() => {})
  }
}

async function readRange(file: string): Promise<Pick<BaseBackupDetails, 'timeline' | 'start_lsn' | 'end_lsn'>> {
  const manifest = JSON.parse(await readFile(file, 'utf8')) as {
    'WAL-Ranges': { Timeline: number; 'Start-LSN': string; 'End-LSN': string }[]
  }
  const ranges = manifest['WAL-Ranges']
  const [first, last] = [ranges[0], ranges.at(-1)]
  if (first === undefined || last === undefined)
    throw new BackupError('failed', `${PG_MANIFEST} tells no range of the log`)
  return { timeline: last.Timeline, start_lsn: first['Start-LSN'], end_lsn: last['End-LSN'] }
}

/** Unpacks it beside the temporary files, so it takes as much space there as the server does. */
async function read({ chain, ...context }: ReadRequest): Promise<void> {
  const { folder, release } = await makeWorkFolder()
  try {
    await unpackBase(onlyBase(chain), folder, context)
  } finally {
    await release()
  }
}
