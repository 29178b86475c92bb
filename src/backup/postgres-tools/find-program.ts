// The programs of PostgreSQL: where they are, and whether they are new enough for the server.

import { execFile } from 'node:child_process'
import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { BackupError } from '../backup-error.ts'
import { searchPath, toolEnvironment } from './environment.ts'

/** All that is ever run; the package of Debian that each is in. */
const PACKAGES = {
  pg_dump: 'postgresql-client',
  pg_dumpall: 'postgresql-client',
  pg_restore: 'postgresql-client',
  psql: 'postgresql-client',
  pg_basebackup: 'postgresql-client',
  pg_verifybackup: 'postgresql',
  pg_controldata: 'postgresql',
  postgres: 'postgresql',
} as const
export type ProgramName = keyof typeof PACKAGES

export interface Program {
  name: string
  path: string
  /** For instance `15.20`. */
  version: string
  major: number
}

export interface ProgramRequest {
  /** Where to look; on PATH and where packages put them when absent. */
  pgBin?: string | undefined
  /** Major version of what the program has to understand. */
  major: number
  /** What has this version, for the message: `the server`, `the backup`. */
  of: string
  /** Only the same version will do. */
  isExact?: boolean
}

const EXE = process.platform === 'win32' ? '.exe' : ''
const run = promisify(execFile)

/**
 * The oldest one that is new enough, so that what it writes can be read as far back as possible.
 * @throws BackupError `refused`, saying what to install
 */
export async function findProgram(name: ProgramName, request: ProgramRequest): Promise<Program> {
  const found = await programsNamed(name, request.pgBin)
  const fitting = found.filter(({ major }) => (request.isExact ? major === request.major : major >= request.major))
  const best = fitting.toSorted((a, b) => a.major - b.major)[0]
  if (best !== undefined) return best
  const wanted = `${PACKAGES[name]}-${request.major}`
  const install =
    `install PostgreSQL ${request.major}'s programs (Debian and Ubuntu: apt-get install ${wanted}, where needed from ` +
    'apt.postgresql.org), or set PG_BIN to the folder that they are in'
  const { pgBin } = request
  if (found.length === 0) {
    const where = pgBin === undefined ? 'neither on PATH nor where packages put it' : `not in PG_BIN (${pgBin})`
    throw new BackupError('refused', `${name} is ${where}: ${install}`)
  }
  const versions = [...new Set(found.map(({ version }) => version))].join(', ')
  throw new BackupError(
    'refused',
    `${request.of} is of PostgreSQL ${request.major}, and ${name} here is ${versions}, which can't read it: ${install}; ` +
      'a backup of type archive needs no programs',
  )
}

async function programsNamed(name: ProgramName, pgBin: string | undefined): Promise<Program[]> {
  const folders = pgBin === undefined ? [...searchPath(), ...packagedFolders()] : [pgBin]
  const paths = new Set<string>()
  for (const folder of folders) {
    const path = join(folder, `${name}${EXE}`)
    if (!existsSync(path)) continue
    const real = realpathSync(path)
    // Debian's chooses among the folders that are looked at here anyway.
    if (basename(real) !== 'pg_wrapper') paths.add(real)
  }
  const programs = await Promise.all([...paths].map((path) => identify(name, path)))
  return programs.filter((program) => program !== undefined)
}

async function identify(name: ProgramName, path: string): Promise<Program | undefined> {
  try {
    const { stdout } = await run(path, ['--version'], { env: toolEnvironment() })
    const version = /\(PostgreSQL\) (\d+(?:\.\d+)?)/.exec(stdout)?.[1]
    return version === undefined ? undefined : { name, path, version, major: Number.parseInt(version, 10) }
  } catch {
    return undefined
  }
}

/** Debian and Ubuntu; Red Hat; Homebrew. */
function packagedFolders(): string[] {
  const below = (folder: string, pattern: RegExp, sub: string) =>
    existsSync(folder)
      ? readdirSync(folder)
          .filter((entry) => pattern.test(entry))
          .map((entry) => join(folder, entry, sub))
      : []
  return [
    ...below('/usr/lib/postgresql', /^\d+$/, 'bin'),
    ...below('/usr', /^pgsql-\d+$/, 'bin'),
    ...below('/opt/homebrew/opt', /^postgresql@\d+$/, 'bin'),
  ]
}
