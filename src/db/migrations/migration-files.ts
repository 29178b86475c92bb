// The numbered SQL files: read, checked and made. The rules are in migrations/README.md.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileProblem } from '../../file-problem.ts'
import { PACKAGE_FOLDER } from '../../package-folder.ts'

/** The migrations of this version. */
export const MIGRATIONS_FOLDER = join(PACKAGE_FOLDER, 'migrations/')

export interface MigrationFile {
  version: number
  /** File name without `.sql`, for instance `0003_positions`. */
  name: string
  description: string
  /** What users of the database have to know before it runs. */
  breaking: string | null
  /** False: runs outside of a transaction, for statements such as CREATE INDEX CONCURRENTLY. */
  isTransactional: boolean
  /** SHA-256 of the text with LF as line ends, in hex. */
  checksum: string
  text: string
  /** How it is taken back; null when it can't be. */
  down: { text: string; destroys: string | null } | null
}

/** A file in the folder breaks a rule, or the folder can't be read; the message names it. */
export class MigrationFilesError extends Error {
  override name = 'MigrationFilesError'
}

const FILE_NAME = /^(\d{4})_[a-z0-9]+(?:_[a-z0-9]+)*(\.down)?\.sql$/
const SLUG = /^[a-z0-9]+(?:_[a-z0-9]+)*$/
const NO_TRANSACTION = /^-- ?annals:no-transaction\s*$/

/** All migrations of a folder in order. A number that is left out is found by {@link checkGaps}. @throws MigrationFilesError */
export function readMigrations(folder: string): MigrationFile[] {
  const names = namesIn(folder)
    .filter((name) => name.endsWith('.sql'))
    .toSorted()
  const downs = new Set(names.filter((name) => name.endsWith('.down.sql')))
  const files = new Map<number, MigrationFile>()
  for (const name of names) {
    const match = FILE_NAME.exec(name)
    if (match === null) {
      throw new MigrationFilesError(`${name}: a migration is named NNNN_what_it_does.sql, in lower case`)
    }
    if (match[2] !== undefined) continue
    const file = readMigration(folder, name, Number(match[1]), downs)
    const twin = files.get(file.version)
    if (twin !== undefined) throw new MigrationFilesError(`${twin.name} and ${file.name} have the same number`)
    if (file.version === 0) throw new MigrationFilesError(`${name}: the first migration is 0001`)
    files.set(file.version, file)
  }
  const [stray] = downs
  if (stray !== undefined) throw new MigrationFilesError(`${stray} takes back a migration that is not there`)
  return [...files.values()]
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (cause) {
    throw new MigrationFilesError(`the folder ${folder} can't be read: ${fileProblem(cause)}`, { cause })
  }
}

/** @throws MigrationFilesError when a number is left out that `isKnown` knows nothing of */
export function checkGaps(files: MigrationFile[], isKnown: (version: number) => boolean): void {
  let previous: MigrationFile | undefined
  for (const file of files) {
    const before = previous?.name ?? 'the beginning'
    for (let version = (previous?.version ?? 0) + 1; version < file.version; version++) {
      if (!isKnown(version)) {
        throw new MigrationFilesError(`${number(version)} is missing between ${before} and ${file.name}`)
      }
    }
    previous = file
  }
}

/** Writes the next migration with an empty header, and returns its path. @throws MigrationFilesError */
export function createMigration(folder: string, slug: string): string {
  if (!SLUG.test(slug)) {
    throw new MigrationFilesError(
      `${JSON.stringify(slug)} must be words of a-z and 0-9 joined by _, such as add_user_context`,
    )
  }
  const version = (readMigrations(folder).at(-1)?.version ?? 0) + 1
  const path = join(folder, `${number(version)}_${slug}.sql`)
  const description = slug.charAt(0).toUpperCase() + slug.slice(1).replaceAll('_', ' ')
  writeFileSync(path, `-- description: ${description}\n\n`, { flag: 'wx' })
  return path
}

// Line ends are LF for the checksum and for the database, so a checkout that writes CRLF makes no difference.
const readText = (path: string): string => readFileSync(path, 'utf8').replaceAll('\r\n', '\n')

function readMigration(folder: string, name: string, version: number, downs: Set<string>): MigrationFile {
  const text = readText(join(folder, name))
  const lines = text.split('\n')
  const isTransactional = !NO_TRANSACTION.test(lines[0] ?? '')
  if (isTransactional && lines.some((line) => NO_TRANSACTION.test(line))) {
    throw new MigrationFilesError(`${name}: -- annals:no-transaction belongs on the first line`)
  }
  const description = header(lines, 'description')
  if (description === null) throw new MigrationFilesError(`${name}: the header -- description: is missing`)
  const downName = name.replace(/\.sql$/, '.down.sql')
  return {
    version,
    name: name.slice(0, -'.sql'.length),
    description,
    breaking: header(lines, 'breaking'),
    isTransactional,
    checksum: createHash('sha256').update(text).digest('hex'),
    text,
    down: downs.delete(downName) ? readDown(join(folder, downName)) : null,
  }
}

function readDown(path: string): { text: string; destroys: string | null } {
  const text = readText(path)
  return { text, destroys: header(text.split('\n'), 'destroys') }
}

/** The value of `-- key: value` in the comment at the top of a file. */
function header(lines: string[], key: string): string | null {
  for (const line of lines) {
    if (!line.startsWith('--')) return null
    const match = /^--\s*([a-z-]+):\s+(\S.*?)\s*$/.exec(line)
    if (match?.[1] === key) return match[2] as string
  }
  return null
}

const number = (version: number): string => String(version).padStart(4, '0')
