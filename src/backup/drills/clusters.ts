// PostgreSQL clusters that belong to a drill: below its folder, started when a step needs them, gone at its end.

import { appendFileSync, cpSync, existsSync, lstatSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findBinaries } from '../../db/embedded/embedded-binaries.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../db/embedded/embedded-postgres.ts'
import { findPostmaster, type Postmaster, spawnPostmaster, stopPostmaster } from '../../db/embedded/postmaster.ts'
import { handOver, serverUser } from '../../db/embedded/server-user.ts'

const STOP_MS = 10_000

export class Clusters {
  readonly #folder: string
  readonly #log: (line: string) => void
  readonly #running = new Map<string, EmbeddedPostgres>()
  readonly #standbys = new Map<string, Postmaster>()

  constructor(folder: string, log: (line: string) => void) {
    this.#folder = folder
    this.#log = log
  }

  dataDir(name: string): string {
    return join(this.#folder, name)
  }

  /** The folder of its data, wherever it had to go. */
  dataFolder(name: string): string {
    const moved = join(this.dataDir(name), 'moved-to')
    return join(existsSync(moved) ? realpathSync(moved) : this.dataDir(name), 'postgres')
  }

  /** A folder beside the data, which the server's user can reach too; a server that a killed drill left on it is stopped. */
  async beside(name: string, what: string): Promise<string> {
    const folder = `${this.dataFolder(name)}-${what}`
    const left = findPostmaster(folder)
    if (left !== undefined) await stopPostmaster(left, STOP_MS)
    return folder
  }

  /** Makes it at the first time; one that a killed drill left running is taken over. */
  async start(name: string, binaries?: string): Promise<EmbeddedPostgres> {
    const known = this.#running.get(name)
    if (known !== undefined) return known
    const say = (line: string) => this.#log(`${name}: ${line}`)
    const server = await startEmbeddedPostgres({
      dataDir: this.dataDir(name),
      log: { info: say, warn: say, error: say },
      mayMoveData: true,
      ...(binaries !== undefined && { binaries }),
    })
    this.#running.set(name, server)
    return server
  }

  async stop(name: string): Promise<void> {
    const server = this.#running.get(name)
    this.#running.delete(name)
    await server?.stop()
    // Of a service of the drill, or of a drill that was killed.
    const left = findPostmaster(this.dataFolder(name))
    if (left !== undefined) await stopPostmaster(left, STOP_MS)
  }

  /** Stops it and deletes all that it had. */
  async destroy(name: string): Promise<void> {
    await this.stop(name)
    const moved = join(this.dataDir(name), 'moved-to')
    if (lstatSync(moved, { throwIfNoEntry: false }) !== undefined) {
      rmSync(realpathSync(moved), { recursive: true, force: true })
    }
    rmSync(this.dataDir(name), { recursive: true, force: true })
  }

  /**
   * Makes `standby` from the data of `primary`, which is down for that moment, and starts both. Answers the URL of the
   * standby, as a superuser's. There is no pg_basebackup among the programs that come along.
   */
  async startStandby(primary: string, standby: string): Promise<string> {
    await this.destroy(standby)
    await this.stop(primary)
    const from = this.dataFolder(primary)
    const folder = await this.beside(primary, standby)
    rmSync(folder, { recursive: true, force: true })
    cpSync(from, folder, { recursive: true, preserveTimestamps: true })
    const { adminUrl } = await this.start(primary)
    const { searchParams, port } = new URL(adminUrl)
    const host = searchParams.get('host') as string
    writeFileSync(join(folder, 'standby.signal'), '')
    appendFileSync(
      join(folder, 'postgresql.conf'),
      `\nprimary_conninfo = 'host=''${host}'' port=${port} user=postgres'\nhot_standby = on\n`,
    )
    const user = serverUser(from)
    if (user !== undefined) handOver(folder, user)
    const { postgres } = await findBinaries(undefined, join(from, '..'), user)
    const standbyPort = Number(port) + 1
    const args = [
      '-D',
      folder,
      '-p',
      String(standbyPort),
      '-c',
      'listen_addresses=',
      '-c',
      `unix_socket_directories=${host}`,
    ]
    this.#standbys.set(standby, spawnPostmaster(postgres, args, join(this.dataDir(primary), `${standby}.log`), user))
    return adminUrl.replace(`:${port}/`, `:${standbyPort}/`)
  }

  /** `kill -9` of a server; nobody starts it again. */
  async kill(name: string): Promise<void> {
    const server = this.#running.get(name)
    this.#running.delete(name)
    if (server === undefined) return
    const { pid } = server
    // Asking for the stop first keeps its starter from starting it again.
    const stopped = server.stop()
    process.kill(pid, 'SIGKILL')
    await stopped
  }

  async stopAll(): Promise<void> {
    for (const name of [...this.#running.keys()]) await this.stop(name)
    for (const standby of this.#standbys.values()) await stopPostmaster(standby, STOP_MS)
    this.#standbys.clear()
  }
}
