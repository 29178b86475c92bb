// A server that replays its log on a data folder, where only we can reach it, and archives nothing.

import { execFile } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type RecoveryState, readRecoveryState } from '../../db/backup/recovery.ts'
import { type Postmaster, spawnPostmaster, stopPostmaster } from '../../db/embedded/postmaster.ts'
import type { ServerUser } from '../../db/embedded/server-user.ts'
import { BackupError } from '../backup-error.ts'
import { toolEnvironment } from '../postgres-tools/environment.ts'
import { findProgram, type Program } from '../postgres-tools/find-program.ts'

const POLL_MS = 100
const STOP_STEP_MS = 60_000
const SHOWN_LINES = 8
// What it answers to those who ask whether it is there yet: none of it is why it ended.
const ANSWER_TO_A_CLIENT = /\bFATAL: +(the database system is|canceling authentication|terminating connection)\b/

export interface RecoveryOptions {
  folder: string
  major: number
  pgBin?: string | undefined
  user: ServerUser | undefined
  /** A role that may do everything, and a database. */
  superuser: string
  database: string
  /** `recovery_target…` and `restore_command`. */
  settings: Record<string, string>
}

export class RecoveryServer {
  readonly url: string
  readonly #server: Postmaster
  readonly #run: string
  #hasEnded = false

  private constructor(server: Postmaster, run: string, { superuser, database }: RecoveryOptions) {
    this.#server = server
    this.#run = run
    this.url = `postgres://${encodeURIComponent(superuser)}@localhost:5432/${encodeURIComponent(database)}?host=${encodeURIComponent(run)}`
    void server.ended.then(() => {
      this.#hasEnded = true
    })
  }

  static async start(options: RecoveryOptions): Promise<RecoveryServer> {
    const { folder, user } = options
    const program = (name: 'postgres' | 'pg_controldata') =>
      findProgram(name, { pgBin: options.pgBin, major: options.major, of: 'the backup', isExact: true })
    const postgres = await program('postgres')
    const limits = await readLimits(await program('pg_controldata'), folder)
    const run = mkdtempSync(join(tmpdir(), 'annals-recovery-'))
    for (const [name, text] of [
      ['hba', 'local all all trust\n'],
      ['ident', ''],
      ['conf', ''],
      ['log', ''],
    ] as const) {
      writeFileSync(join(run, name), text)
    }
    for (const path of [run, ...['hba', 'ident', 'conf', 'log'].map((name) => join(run, name))]) {
      chmodSync(path, 0o700)
      if (user !== undefined) chownSync(path, user.uid, user.gid)
    }
    const settings: Record<string, string> = {
      // Debian keeps it elsewhere, so it may not have come along.
      ...(!existsSync(join(folder, 'postgresql.conf')) && { config_file: join(run, 'conf') }),
      ...{ hba_file: join(run, 'hba'), ident_file: join(run, 'ident'), external_pid_file: '' },
      ...{ listen_addresses: '', unix_socket_directories: run, port: '5432', ssl: 'off' },
      ...{ logging_collector: 'off', log_destination: 'stderr', lc_messages: 'C', shared_preload_libraries: '' },
      // Of the server that was backed up nothing may be touched: not its archive, not its primary, not its subscribers.
      ...{
        archive_mode: 'off',
        primary_conninfo: '',
        synchronous_standby_names: '',
        max_logical_replication_workers: '0',
      },
      ...{ hot_standby: 'on', ...limits, ...options.settings },
    }
    const args = ['-D', folder, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
    return new RecoveryServer(spawnPostmaster(postgres.path, args, join(run, 'log'), user), run, options)
  }

  /**
   * Waits until it has come to where it should.
   * @throws BackupError `failed` with what the server said when it ended before
   */
  async reach(
    isThere: (state: RecoveryState) => boolean,
    signal: AbortSignal,
    onState: (state: RecoveryState) => void,
  ) {
    for (;;) {
      signal.throwIfAborted()
      const state = await readRecoveryState(this.url).catch(() => undefined)
      if (state !== undefined) onState(state)
      if (state !== undefined && isThere(state)) return state
      if (this.#hasEnded) {
        throw new BackupError('failed', 'PostgreSQL ended before it came there', { evidence: this.#complaints() })
      }
      await sleep(POLL_MS, undefined, { signal })
    }
  }

  async stop(): Promise<void> {
    await stopPostmaster(this.#server, STOP_STEP_MS)
    rmSync(this.#run, { recursive: true, force: true })
  }

  #complaints(): string[] {
    const lines = readFileSync(join(this.#run, 'log'), 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !ANSWER_TO_A_CLIENT.test(line))
    const wrong = lines.filter((line) => /\b(FATAL|PANIC|ERROR|HINT|annals):/.test(line))
    return (wrong.length > 0 ? wrong : lines).slice(-SHOWN_LINES)
  }
}

/** A server that replays may not have less of these than the one that wrote the log. */
async function readLimits({ path }: Program, folder: string): Promise<Record<string, string>> {
  const { stdout } = await promisify(execFile)(path, [folder], { env: toolEnvironment() })
  const names = {
    ...{
      max_connections: 'max_connections',
      max_worker_processes: 'max_worker_processes',
      max_wal_senders: 'max_wal_senders',
    },
    ...{ max_prepared_transactions: 'max_prepared_xacts', max_locks_per_transaction: 'max_locks_per_xact' },
  }
  const limits: Record<string, string> = {}
  for (const [name, shown] of Object.entries(names)) {
    const value = new RegExp(`^${shown} setting: +(\\d+)$`, 'm').exec(stdout)?.[1]
    if (value !== undefined) limits[name] = value
  }
  return limits
}
