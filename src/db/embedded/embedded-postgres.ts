// The PostgreSQL that Annals brings along: made at the first start, found again after a crash, restarted when it dies.

import { existsSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SettingsError } from '../../config.ts'
import { makeFolders } from '../../make-folders.ts'
import { type Listen, listenOn, psqlCommand, urls } from './embedded-address.ts'
import { findBinaries } from './embedded-binaries.ts'
import { checkMajor, makeData, openWay, type Places, placesOf } from './embedded-folder.ts'
import { type FolderLock, lockFolder } from './folder-lock.ts'
import {
  burial,
  findPostmaster,
  isReady,
  type PidFile,
  type Postmaster,
  readPidFile,
  spawnPostmaster,
  stopPostmaster,
} from './postmaster.ts'
import { handOver, serverUser } from './server-user.ts'

const LOG_KEPT_BYTES = 16 * 1024 * 1024

/** The part of a pino logger that is used here. */
export interface EmbeddedLog {
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

export interface EmbeddedPostgresOptions {
  /** Folder for the data, the socket, the server's log and the lock; made when it does not exist. */
  dataDir: string
  log: EmbeddedLog
  /** Folder with `bin` and `lib` of a PostgreSQL; the platform's package when absent. */
  binaries?: string
  /** Also listen on this loopback TCP port, with a password; 0 takes a free one. Without it only a Unix socket. */
  port?: number
  /** Server settings beside those of `postgresql.conf`, for instance `{ max_connections: '50' }`. */
  settings?: Record<string, string>
  /**
   * As root, PostgreSQL runs as another user, who may be kept out by a folder above `dataDir`. True: the data then goes
   * below /var/lib/annals, with a link to it; false: refused in words.
   */
  mayMoveData?: boolean
}

export interface EmbeddedPostgres {
  /** Connects as the owner of the database, who is no superuser. */
  url: string
  adminUrl: string
  /** How a person opens a console. */
  psql: string
  /** For instance `18.4`. */
  version: string
  /** The server process; it changes when the server had to be restarted. */
  readonly pid: number
  /** Whether a server left over by a service that died was taken over. */
  adopted: boolean
  /** Stops the server and frees the folder; each of up to three ever harder steps gets `stepMs`. */
  stop(stepMs?: number): Promise<void>
}

/**
 * Starts PostgreSQL on `dataDir`, or takes over the one that runs there; in 0.1 s, and in 0.7 s when the data folder
 * has to be made first. While it is not stopped a server that dies is started again.
 * @throws SettingsError when the folder is in use, can't be reached, or belongs to another version.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir)
  makeFolder(dataDir)
  const lock = lockFolder(join(dataDir, 'annals.lock'), dataDir)
  try {
    return await start(dataDir, options, lock)
  } catch (error) {
    lock.release()
    throw error
  }
}

function makeFolder(dataDir: string): void {
  try {
    makeFolders(dataDir)
  } catch (cause) {
    throw new SettingsError(
      `DATA_DIR: ${dataDir} can't be made (${(cause as NodeJS.ErrnoException).code}): set DATA_DIR to a folder that this ` +
        'user can write to, or DATABASE_URL to a PostgreSQL of your own',
      { cause },
    )
  }
}

/** Whether a start on `dataDir` finds a database there, and makes none. */
export const hasEmbeddedData = (dataDir: string): boolean => existsSync(placesOf(resolve(dataDir)).data)

/** The server that a service runs on `dataDir`, for a command beside it; undefined when none is running. */
export function connectToRunningEmbedded(dataDir: string): { url: string; adminUrl: string } | undefined {
  const places = placesOf(resolve(dataDir))
  const running = findPostmaster(places.data)
  return running?.file.isReady ? urls(running.file, places) : undefined
}

async function start(dataDir: string, options: EmbeddedPostgresOptions, lock: FolderLock): Promise<EmbeddedPostgres> {
  const { log } = options
  const user = serverUser(placesOf(dataDir).data)
  if (user !== undefined) openWay(dataDir, user, options)
  const places = placesOf(dataDir)
  const binaries = await findBinaries(options.binaries, places.home, user)
  if (existsSync(places.data)) checkMajor(places.data, binaries)
  else await makeData(places, binaries, user)
  if (user !== undefined) handOver(places.data, user)

  const listen = await listenOn(options.port, places, user)
  const args = [
    ...['-D', places.data, '-p', String(listen.port), '-c', `listen_addresses=${listen.address}`],
    ...['-c', `unix_socket_directories=${listen.sockets}`],
    ...Object.entries(options.settings ?? {}).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ]
  keepLogSmall(places.logFile)
  const isSlow = () => log.info(`PostgreSQL is still recovering; it tells how far in ${places.logFile}`)
  const launch = () => spawnPostmaster(binaries.postgres, args, places.logFile, user)

  let current = await takeOver(places, listen, isSlow)
  const adopted = current !== undefined
  if (adopted) log.warn(`taking over the PostgreSQL (process ${current?.pid}) that an Annals that died left running`)
  current ??= await launchFirst(launch, places, isSlow)

  let isStopping = false
  const supervise = async (): Promise<void> => {
    for (let failures = 0; ; failures++) {
      const server = current as Postmaster
      const startedAt = Date.now()
      await server.ended
      if (isStopping) return
      if (Date.now() - startedAt > 60_000) failures = 0
      const pauseMs = Math.min(100 * 2 ** failures, 5_000)
      log.error(`PostgreSQL (process ${server.pid}) ended unexpectedly; starting it again: ${tail(places.logFile)}`)
      await sleep(pauseMs, undefined, { ref: false })
      await burial(places.data)
      if (isStopping) return
      try {
        current = launch()
      } catch (error) {
        // For want of files or processes, for instance, which may pass.
        log.error(`PostgreSQL can't be started again: ${(error as Error).message}`)
        continue
      }
      void isReady(current, places.data, isSlow).then((ready) => ready && log.info('PostgreSQL is running again'))
    }
  }
  const supervision = supervise()

  // A process that ends without stop(), by an uncaught error for instance, takes its server with it.
  const stopAtExit = () => {
    isStopping = true
    try {
      process.kill((current as Postmaster).pid, 'SIGINT')
    } catch {
      // Gone already.
    }
    lock.release()
  }
  process.once('exit', stopAtExit)

  const file = readPidFile(places.data) as PidFile
  let stopped: Promise<void> | undefined
  return {
    ...urls(file, places),
    psql: psqlCommand(file, places),
    version: binaries.version,
    get pid() {
      return (current as Postmaster).pid
    },
    adopted,
    stop(stepMs = 5_000) {
      isStopping = true
      stopped ??= stopPostmaster(current as Postmaster, stepMs)
        .then(() => Promise.race([supervision, sleep(0)]))
        .finally(() => {
          process.off('exit', stopAtExit)
          if (listen.isTemporary) rmSync(listen.sockets, { recursive: true, force: true })
          lock.release()
        })
      return stopped
    },
  }
}

/** The server that runs already, when it listens as it should; one that does not is stopped. */
async function takeOver(places: Places, listen: Listen, isSlow: () => void): Promise<Postmaster | undefined> {
  const running = findPostmaster(places.data)
  if (running === undefined) return undefined
  const { file } = running
  const isAsWanted =
    file.socketFolder === listen.sockets &&
    file.port === listen.port &&
    Boolean(file.listenAddress) === Boolean(listen.address)
  if (isAsWanted && (await isReady(running, places.data, isSlow))) return running
  await stopPostmaster(running, 10_000)
  return undefined
}

/** The first start is tried again: processes of a server that was killed may hold its memory for a moment. */
async function launchFirst(launch: () => Postmaster, places: Places, isSlow: () => void): Promise<Postmaster> {
  for (const pauseMs of [100, 400, 1_000]) {
    await burial(places.data)
    const postmaster = launch()
    if (await isReady(postmaster, places.data, isSlow)) return postmaster
    await sleep(pauseMs)
  }
  throw new SettingsError(`the embedded PostgreSQL does not start: ${tail(places.logFile)}`)
}

/** The last words of the server's log, as one line. */
function tail(logFile: string): string {
  try {
    return readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-3).join(' | ')
  } catch {
    return `see ${logFile}`
  }
}

function keepLogSmall(logFile: string): void {
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0
  if (size > LOG_KEPT_BYTES) renameSync(logFile, join(dirname(logFile), 'postgres.log.old'))
}
