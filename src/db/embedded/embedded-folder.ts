// The folder of the embedded PostgreSQL: where its parts are, who may reach them, and how the data are made.

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { SettingsError } from '../../config.ts'
import type { Binaries } from './embedded-binaries.ts'
import { serverEnvironment } from './postmaster.ts'
import { folderInTheWay, type ServerUser } from './server-user.ts'

/** The service's role and database. */
export const DATABASE = 'annals'
export const SUPERUSER = 'postgres'

/** Where things are; `home` differs from `dataDir` only when the data had to be moved. */
export interface Places {
  dataDir: string
  home: string
  data: string
  sockets: string
  logFile: string
  passwordFile: string
}

/** The places below a data folder, wherever its data were moved to. */
export function placesOf(dataDir: string): Places {
  const moved = join(dataDir, 'moved-to')
  const home = existsSync(moved) ? realpathSync(moved) : dataDir
  return {
    dataDir,
    home,
    data: join(home, 'postgres'),
    sockets: join(home, 'run'),
    logFile: join(dataDir, 'postgres.log'),
    passwordFile: join(dataDir, 'password'),
  }
}

interface WayOptions {
  mayMoveData?: boolean | undefined
  log: { warn(message: string): void }
}

/** Makes sure that the server's user can reach the data: by a mode bit of our own folder, or by moving the data. */
export function openWay(dataDir: string, user: ServerUser, { mayMoveData, log }: WayOptions): void {
  const places = placesOf(dataDir)
  if (places.home !== dataDir) return
  if ((statSync(dataDir).mode & 0o001) === 0 && folderInTheWay(join(dataDir, 'postgres'), user) === dataDir) {
    chmodSync(dataDir, (statSync(dataDir).mode & 0o7777) | 0o011)
  }
  const barrier = folderInTheWay(places.data, user)
  if (barrier === undefined) return
  if (!mayMoveData || existsSync(places.data)) {
    throw new SettingsError(
      `PostgreSQL refuses to run as root, and the user ${user.name} may not enter ${barrier}: allow it with ` +
        `chmod o+x ${barrier}, or set DATA_DIR to a folder that ${user.name} can reach, such as /var/lib/annals`,
    )
  }
  mkdirSync('/var/lib/annals', { recursive: true })
  const home = mkdtempSync('/var/lib/annals/data-')
  chmodSync(home, 0o711)
  symlinkSync(home, join(dataDir, 'moved-to'))
  log.warn(
    `PostgreSQL refuses to run as root, and the user ${user.name} may not enter ${barrier}: the data goes to ${home}, linked from ${dataDir}`,
  )
}

/** @throws SettingsError when the data were made by another major version, or are none */
export function checkMajor(data: string, binaries: Binaries): void {
  let major: string
  try {
    major = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim()
  } catch (cause) {
    const isForbidden = (cause as NodeJS.ErrnoException).code === 'EACCES'
    throw new SettingsError(
      isForbidden
        ? `the data in ${data} belong to another user: start Annals as that user, or set another DATA_DIR`
        : `${data} is not a PostgreSQL data folder: move it away, or set another DATA_DIR`,
      { cause },
    )
  }
  if (major === String(binaries.major)) return
  throw new SettingsError(
    `the data in ${data} were made by PostgreSQL ${major}, and this Annals brings ${binaries.version}: export them with ` +
      'the Annals that made them and import them here, or set another DATA_DIR',
  )
}

/** Makes the data folder under another name, so that it appears whole or not at all. */
export async function makeData(places: Places, binaries: Binaries, user: ServerUser | undefined): Promise<void> {
  const run = promisify(execFile)
  const asUser = { cwd: '/', env: serverEnvironment(), ...(user && { uid: user.uid, gid: user.gid }) }
  const partial = `${places.data}.new`
  const passwordCopy = `${places.data}.password`
  const password = randomBytes(24).toString('hex')
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { mode: 0o700 })
  writeFileSync(passwordCopy, password, { mode: 0o600 })
  if (user !== undefined) for (const path of [partial, passwordCopy]) chownSync(path, user.uid, user.gid)
  try {
    const locale = binaries.major >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : []
    await run(
      binaries.initdb,
      [
        ...['-D', partial, '-U', SUPERUSER, '--pwfile', passwordCopy, '--encoding=UTF8', '--locale=C', ...locale],
        ...['--auth-local=trust', '--auth-host=scram-sha-256', '--data-checksums', '--no-instructions'],
      ],
      asUser,
    )
    appendFileSync(join(partial, 'postgresql.conf'), CONFIGURATION)
    const single = run(binaries.postgres, ['--single', '-D', partial, '-c', 'exit_on_error=on', 'postgres'], asUser)
    single.child.stdin?.end(
      [
        `CREATE ROLE ${DATABASE} LOGIN CREATEDB PASSWORD '${password}'`,
        `GRANT pg_monitor, pg_signal_backend TO ${DATABASE}`,
        `CREATE DATABASE ${DATABASE} OWNER ${DATABASE}\n`,
      ].join('\n'),
    )
    await single
  } catch (cause) {
    const reason = (cause as { stderr?: string }).stderr?.trim() || (cause as Error).message
    throw new SettingsError(`the data folder ${places.data} can't be made: ${reason}`, { cause })
  } finally {
    rmSync(passwordCopy, { force: true })
  }
  writeFileSync(places.passwordFile, `${password}\n`, { mode: 0o600 })
  renameSync(partial, places.data)
}

// fsync, synchronous_commit and full_page_writes stay as PostgreSQL has them: on.
const CONFIGURATION = `
# Annals: changes to this file and ALTER SYSTEM are kept.
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
`
