// One file of PostgreSQL's log into the archive and back. PostgreSQL starts a process for each and waits for it, so this
// loads nothing but Node.js.

import { randomBytes } from 'node:crypto'
import { copyFile, link, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { makeFolders } from '../../make-folders.ts'

/** A segment, a part of one, a history of timelines, or the mark of a base backup. */
const WAL_NAME = /^([0-9A-F]{24}(\.partial|\.[0-9A-F]{8}\.backup)?|[0-9A-F]{8}\.history)$/

/** Why a file was not archived, or could not be fetched. */
export class WalError extends Error {
  override name = 'WalError'
  readonly exitCode: number

  constructor(message: string, exitCode: number, cause?: unknown) {
    super(message, { cause })
    this.exitCode = exitCode
  }
}

/**
 * PostgreSQL takes 1 to 125 of a restore_command for "there is no such file": it then believes that the log ends here.
 * Above that it stops. Node.js itself ends with small numbers when it can't start, so this is one that it does not have.
 */
export const NOT_THERE = 100
const NOT_FETCHED = 200
/** Of an archive_command it counts what fails with 1 to 125, and tries again. Above that its archiver ends without counting. */
const NOT_ARCHIVED = 1

/**
 * Puts a file into the archive: durable before this returns, never over another one, and under its name only when it
 * is whole. One that is there already with the same contents is fine: the server may have died before it noted that.
 * @throws WalError with exit code 1
 */
export async function archiveFile(path: string, archive: string): Promise<void> {
  const name = checkName(basename(path), NOT_ARCHIVED)
  const target = join(archive, name)
  const partial = join(archive, `.${name}.${randomBytes(6).toString('hex')}.partial`)
  try {
    makeFolders(resolve(archive), 0o700)
    await copyFile(path, partial)
    await sync(partial)
    try {
      // Unlike a rename this fails when the name is taken.
      await link(partial, target)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      if (!(await isSame(path, target))) {
        throw new WalError(
          `${target} is there already and differs: two servers may be archiving to one folder. Nothing was overwritten`,
          NOT_ARCHIVED,
        )
      }
    }
    await sync(archive)
  } catch (cause) {
    if (cause instanceof WalError) throw cause
    throw new WalError(`${name} can't be archived to ${archive}: ${(cause as Error).message}`, NOT_ARCHIVED, cause)
  } finally {
    await unlink(partial).catch(() => {})
  }
}

/** Brings a file back. @throws WalError with exit code 100 when the archive does not have it, and above 125 when it can't be told */
export async function fetchFile(name: string, path: string, archive: string): Promise<void> {
  const source = join(archive, checkName(name, NOT_FETCHED))
  const partial = join(dirname(path), `annals-${randomBytes(6).toString('hex')}`)
  try {
    // A folder that is not mounted must not look like the end of the log.
    if ((await readdir(archive)).length === 0) throw new Error('the folder is empty; is it mounted?')
    if (!(await exists(source))) throw new WalError(`${archive} does not have ${name}`, NOT_THERE)
    await copyFile(source, partial)
    await sync(partial)
    await rename(partial, path)
    await sync(dirname(path))
  } catch (cause) {
    if (cause instanceof WalError) throw cause
    throw new WalError(`${name} can't be fetched from ${archive}: ${(cause as Error).message}`, NOT_FETCHED, cause)
  } finally {
    await unlink(partial).catch(() => {})
  }
}

function checkName(name: string, exitCode: number): string {
  if (WAL_NAME.test(name)) return name
  throw new WalError(`${JSON.stringify(name)} is not the name of a file of PostgreSQL's log`, exitCode)
}

async function isSame(path: string, other: string): Promise<boolean> {
  if ((await stat(path)).size !== (await stat(other)).size) return false
  return (await readFile(path)).equals(await readFile(other))
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    },
  )

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
