// pgBackRest as a program: found where PostgreSQL's are, run as the user whom the repository belongs to.

import { execFile } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { BackupError } from '../backup-error.ts'
import type { JobContext } from '../driver.ts'
import { searchPath, toolEnvironment } from '../postgres-tools/environment.ts'
import { runProgram } from '../postgres-tools/run-program.ts'
import { type PgbackrestInfo, readInfo } from './info.ts'

/** One repository is for one cluster, so its stanza needs no name of its own. */
export const STANZA = 'annals'

export interface Owner {
  uid: number
  gid: number
}

/** Ready to be run on a repository. */
export interface Pgbackrest {
  path: string
  /** For instance `pgBackRest 2.45`. */
  version: string
  /** File of its configuration. */
  config: string
  /** Undefined when it is us. */
  user: Owner | undefined
  context: JobContext
  /** Password for PostgreSQL, where there is one. */
  env?: Record<string, string>
}

/** Where the configuration of a repository is. @throws BackupError `refused` */
export function configOf({ pgbackrestRepository: folder }: JobContext): string {
  // It goes into a configuration and into a line for a shell, as it is.
  if (folder !== undefined && /^(\/[\w.-]+)+$/.test(folder)) return join(folder, 'annals.conf')
  const what = 'the absolute path of a folder, of letters, digits and ._-/'
  throw new BackupError('refused', `pgBackRest needs a repository: set BACKUP_PGBACKREST_DIR to ${what}`)
}

/** On a repository that is there. @throws BackupError `refused` */
export async function openPgbackrest(context: JobContext): Promise<Pgbackrest> {
  const config = configOf(context)
  const owner = statSync(config, { throwIfNoEntry: false })
  if (owner === undefined) {
    throw new BackupError('refused', `there is no ${config}: is BACKUP_PGBACKREST_DIR the folder of these backups?`)
  }
  return { ...(await findPgbackrest(context)), config, user: asUser(owner), context }
}

/** Only root may choose; others are refused by the system where they may not read. */
export const asUser = ({ uid, gid }: Owner): Owner | undefined => (process.getuid?.() === 0 ? { uid, gid } : undefined)

/** @throws BackupError `refused`, saying what to install */
export async function findPgbackrest({ pgBin }: JobContext): Promise<Pick<Pgbackrest, 'path' | 'version'>> {
  // No package puts it beside PostgreSQL's programs, so PG_BIN is the first place and not the only one.
  const folders = [...(pgBin === undefined ? [] : [pgBin]), ...searchPath(), '/usr/bin']
  const path = folders.map((folder) => join(folder, 'pgbackrest')).find((file) => existsSync(file))
  if (path === undefined) {
    const install = 'install it (Debian and Ubuntu: apt-get install pgbackrest), or put it into PG_BIN'
    throw new BackupError('refused', `pgbackrest is not on PATH: ${install}`)
  }
  const { stdout } = await promisify(execFile)(path, ['version'], { env: toolEnvironment() })
  return { path, version: stdout.trim() }
}

/** What it printed. @throws BackupError `failed` with what it complained of */
export async function run(program: Pgbackrest, command: string, options: string[] = []): Promise<string> {
  const output = new PassThrough()
  const { path, config, user, context, env = {} } = program
  const args = [`--config=${config}`, `--stanza=${STANZA}`, ...options, command]
  const [printed] = await Promise.all([
    text(output),
    runProgram({ name: `pgbackrest ${command}`, path }, { args, env, user, signal: context.signal, output }).catch(
      (error: unknown) => {
        output.end()
        throw error
      },
    ),
  ])
  return printed
}

export const info = async (program: Pgbackrest): Promise<PgbackrestInfo> =>
  readInfo(await run(program, 'info', ['--output=json']))
