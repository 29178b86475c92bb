// The repository of a cluster: its configuration, its stanza, and whether PostgreSQL archives its log into it.

import { chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ServerFiles, ServerVersion } from '../../db/backup/describe-database.ts'
import { folderInTheWay } from '../../db/embedded/server-user.ts'
import { BackupError, describeCause } from '../backup-error.ts'
import type { CreateRequest } from '../driver.ts'
import { toolConnection } from '../postgres-tools/connection.ts'
import type { PgbackrestInfo } from './info.ts'
import {
  asUser,
  configOf,
  findPgbackrest,
  info,
  type Owner,
  openPgbackrest,
  type Pgbackrest,
  run,
  STANZA,
} from './program.ts'

/** As the seeds of a good policy have it; pgBackRest removes what is older by itself, with the log that it needed. */
const [FULLS, DIFFS] = [7, 4]

/** What is missing of configuration and stanza is made. @throws BackupError `refused` */
export async function prepareRepository(
  { source, ...context }: CreateRequest,
  server: ServerVersion & ServerFiles,
): Promise<Pgbackrest> {
  const config = configOf(context)
  const found = await findPgbackrest(context)
  refuseOtherCluster(server)
  if (existsSync(config)) refuseOtherStanza(dirname(config), await info(await openPgbackrest(context)), server)
  const owner = statSync(server.data_directory)
  writeConfiguration(config, configuration(dirname(config), server), owner)
  // It connects as who made the cluster, and knows the password of nobody else.
  const isSuperuser = decodeURIComponent(new URL(source.url).username) === server.superuser
  const env = isSuperuser ? toolConnection(source.url).env : {}
  const program = { ...found, config, user: asUser(owner), context, env }
  if (!(await info(program)).hasStanza) {
    await run(program, 'stanza-create').catch((error: unknown) => {
      throw explain(error, program, server)
    })
  }
  refuseOtherArchive(config, server)
  return program
}

/** Its files are copied from this machine, so the server has to be the one whose files are here. */
function refuseOtherCluster({ data_directory: folder, system_identifier: expected }: ServerVersion & ServerFiles) {
  let found: string
  try {
    found = String(readFileSync(join(folder, 'global', 'pg_control')).readBigUInt64LE(0))
  } catch (cause) {
    throw new BackupError(
      'refused',
      `pgBackRest reads the files of the server: run this on its machine, as the owner of ${folder} or root (${describeCause(cause)})`,
      { cause },
    )
  }
  if (found === expected) return
  throw new BackupError('refused', `${folder} of this machine belongs to another server than the one of DATABASE_URL`)
}

function refuseOtherStanza(repository: string, { hasStanza, systems }: PgbackrestInfo, server: ServerVersion): void {
  if (!hasStanza || systems.includes(server.system_identifier)) return
  throw new BackupError(
    'refused',
    `${repository} is the repository of another server: set BACKUP_PGBACKREST_DIR to another folder`,
  )
}

function configuration(
  repository: string,
  { data_directory: data, port, socket_folder: socket, superuser, database }: ServerVersion & ServerFiles,
): string {
  return `# Written by Annals for each backup: what is changed here does not last.
[global]
repo1-path=${join(repository, 'repository')}
repo1-retention-full=${FULLS}
repo1-retention-diff=${DIFFS}
lock-path=${join(repository, 'lock')}
spool-path=${join(repository, 'spool')}
log-level-file=off
start-fast=y

[${STANZA}]
pg1-path=${data}
pg1-port=${port}
pg1-socket-path=${socket}
pg1-user=${superuser}
pg1-database=${database}
`
}

/** The folder is made, those above it have to be there: all of them for the server's user too. */
function writeConfiguration(file: string, text: string, { uid, gid }: Owner): void {
  const folder = dirname(file)
  const isRoot = process.getuid?.() === 0
  const barrier = isRoot ? folderInTheWay(file, { name: String(uid), uid, gid }) : undefined
  if (barrier !== undefined) {
    throw new BackupError('refused', `the owner of the server's files may not enter ${barrier}: choose another folder`)
  }
  try {
    if (!existsSync(folder)) {
      mkdirSync(folder, { mode: 0o750 })
      if (isRoot) chownSync(folder, uid, gid)
    }
    if (existsSync(file) && readFileSync(file, 'utf8') === text) return
    writeFileSync(file, text, { mode: 0o640 })
    if (isRoot) chownSync(file, uid, gid)
  } catch (cause) {
    throw new BackupError('refused', `${file} can't be written: ${describeCause(cause)}`, { cause })
  }
}

/** A backup without the log of its time is none. */
function refuseOtherArchive(config: string, { archive_mode: mode, archive_command: command }: ServerFiles): void {
  const wanted = `pgbackrest --config=${config} --stanza=${STANZA} archive-push %p`
  if (mode !== 'off' && command.endsWith(wanted)) return
  throw new BackupError(
    'refused',
    "the server does not archive its log into pgBackRest's repository. Add this to postgresql.conf, and restart the server",
    { evidence: ['archive_mode = on', `archive_command = '${wanted}'`] },
  )
}

function explain(error: unknown, { version }: Pgbackrest, server: ServerVersion): unknown {
  const isUnknown =
    error instanceof BackupError && error.evidence.some((line) => line.includes('is this version of PostgreSQL'))
  if (!isUnknown) return error
  return new BackupError(
    'refused',
    `${version} does not know PostgreSQL ${server.major}: install a newer one, where needed from apt.postgresql.org`,
    { cause: error },
  )
}
