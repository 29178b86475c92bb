// The one connection that migrates: direct, checked, and holding the lock that keeps every other process out.

import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { destroy, openDirectConnection, POOLER_ADVICE } from '../connections/direct-connection.ts'
import type { RunQuery } from '../run-query.ts'
import { rfc3339 } from '../sql.ts'
import { type LockHolder, MigrationError } from './migration-error.ts'

/** Of what is done around a migration; the migration itself takes as long as it takes. */
const QUERY_TIMEOUT_MS = 5_000
const CLOSE_TIMEOUT_MS = 1_000
const POLL_MS = { least: 50, most: 500 }

export interface SessionOptions {
  connectionString: string
  schema: string
  log(line: string): void
}

/** Appended to the role it becomes the ledger's `applied_by`. */
export const MIGRATED_BY = `@${hostname()}/annals/${process.pid}`

export class MigrationSession {
  readonly client: pg.Client
  readonly query: RunQuery
  readonly #options: SessionOptions
  readonly #lockKey: string
  #isLost = false

  private constructor(client: pg.Client, options: SessionOptions) {
    this.client = client
    this.query = (text, values) =>
      client.query({ text, ...(values && { values }), query_timeout: QUERY_TIMEOUT_MS } as pg.QueryConfig)
    this.#options = options
    this.#lockKey = lockKeyOf(options.schema)
    client.on('error', () => {
      this.#isLost = true
    })
    // What a migration raises is for the operator; "already exists, skipping" has a code of its own.
    client.on('notice', ({ message, code }) => {
      if (code === '00000' || code?.startsWith('01')) options.log(`  ${message}`)
    })
  }

  /** @throws MigrationError `refused` for a server that is too old, in another encoding, or only reads, and for a pooler */
  static async open(options: SessionOptions): Promise<MigrationSession> {
    const name = `annals migrate (process ${process.pid})`
    return new MigrationSession(await openDirectConnection(options.connectionString, name), options)
  }

  get isLost(): boolean {
    return this.#isLost
  }

  /** Polls, because a session that waits for the lock would itself hold up CREATE INDEX CONCURRENTLY. */
  async lock(timeoutMs: number): Promise<void> {
    const deadlineAt = performance.now() + timeoutMs
    let shown: number | undefined
    for (let pauseMs = POLL_MS.least; ; pauseMs = Math.min(pauseMs * 2, POLL_MS.most)) {
      const { rows } = await this.query('SELECT pg_try_advisory_lock($1::bigint) AS is_ours', [this.#lockKey])
      if (rows[0]?.['is_ours']) return
      const holder = await this.#holder()
      const leftMs = deadlineAt - performance.now()
      if (leftMs <= 0) {
        const who = holder === undefined ? 'which has just ended' : describeHolder(holder)
        throw new MigrationError('locked', `another process is migrating: ${who}`, holder && { holder })
      }
      if (holder !== undefined && holder.pid !== shown) {
        this.#options.log(`waiting for another process that migrates: ${describeHolder(holder)}`)
        shown = holder.pid
      }
      await sleep(Math.min(pauseMs * (0.5 + Math.random() / 2), leftMs))
    }
  }

  /** @throws MigrationError when the lock is not held by this very backend any more */
  async checkLock(): Promise<void> {
    const { rows } = await this.query(`SELECT EXISTS (${LOCK_ROW} AND pid = pg_backend_pid()) AS is_held`, [
      this.#lockKey,
    ])
    if (rows[0]?.['is_held']) return
    throw new MigrationError('refused', `the migration lock was lost on the way. ${POOLER_ADVICE}`)
  }

  /** Ends the connection, and with it the lock. */
  async close(): Promise<void> {
    const timer = setTimeout(() => destroy(this.client), CLOSE_TIMEOUT_MS)
    await this.client.end().catch(() => {})
    clearTimeout(timer)
  }

  async #holder(): Promise<LockHolder | undefined> {
    const { rows } = await this.query(
      `SELECT a.pid, a.application_name, ${rfc3339('a.backend_start')} AS since
       FROM (${LOCK_ROW}) AS held JOIN pg_stat_activity AS a USING (pid)`,
      [this.#lockKey],
    )
    return rows[0] as LockHolder | undefined
  }
}

const LOCK_ROW = `SELECT pid FROM pg_locks
  WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32) | objid::bigint = $1::bigint`

/** Advisory locks belong to one database already; the key keeps the stores within it apart. */
const lockKeyOf = (schema: string): string =>
  createHash('sha256').update(`annals migrations of ${schema}`).digest().readBigInt64BE().toString()

/** Who holds the lock, for messages. */
export const describeHolder = ({ pid, application_name: name, since }: LockHolder): string =>
  `backend ${pid} (${name || 'without a name'}${since === null ? '' : `, connected since ${since}`})`
