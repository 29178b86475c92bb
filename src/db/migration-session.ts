// The one connection that migrates: direct, checked, and holding the lock that keeps every other process out.

import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { type LockHolder, MigrationError } from './migration-error.ts'
import type { RunQuery } from './migration-ledger.ts'
import { rfc3339 } from './sql.ts'

const OLDEST_MAJOR = 15
const CONNECT_TIMEOUT_MS = 10_000
const PROBE_TIMEOUT_MS = 1_000
const PROBE_ROUNDS = 3
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
    this.query = (text, values) => client.query(text, values)
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
    const client = newClient(options.connectionString)
    const session = new MigrationSession(client, options)
    try {
      await client.connect()
      const major = await refuseServer(client)
      await refusePooler(client, options.connectionString)
      await client.query(SESSION_SETTINGS)
      if (major >= 17) await client.query('SET transaction_timeout = 0')
      return session
    } catch (error) {
      await session.close()
      throw error
    }
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
    await this.client.end().catch(() => {})
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

// A migration takes as long as it takes, whatever the role or the database has set for others.
const SESSION_SETTINGS = `SET statement_timeout = 0; SET lock_timeout = 0; SET idle_session_timeout = 0;
  SET idle_in_transaction_session_timeout = 0; SET default_transaction_read_only = off; SET client_min_messages = notice`

const LOCK_ROW = `SELECT pid FROM pg_locks
  WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32) | objid::bigint = $1::bigint`

const POOLER_ADVICE =
  'Locks of a session do not survive a pooler in transaction mode: set DATABASE_DIRECT_URL to the database itself'

/** Advisory locks belong to one database already; the key keeps the stores within it apart. */
const lockKeyOf = (schema: string): string =>
  createHash('sha256').update(`annals migrations of ${schema}`).digest().readBigInt64BE().toString()

export const describeHolder = ({ pid, application_name: name, since }: LockHolder): string =>
  `backend ${pid} (${name || 'without a name'}${since === null ? '' : `, connected since ${since}`})`

const newClient = (connectionString: string): pg.Client =>
  new pg.Client({
    connectionString,
    application_name: `annals migrate (process ${process.pid})`,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  })

/** What matters about a server before anything is done on it. */
export interface ServerFacts {
  major: number
  /** As the server says it, for instance `14.12`. */
  version: string
  encoding: string
  is_standby: boolean
}

/** Why Annals can't work on such a server, in words; undefined when it can. */
export function serverRefusal({ major, version, encoding, is_standby: isStandby }: ServerFacts): string | undefined {
  if (major < OLDEST_MAJOR) return `PostgreSQL ${version} is too old: Annals needs ${OLDEST_MAJOR} or newer`
  if (encoding !== 'UTF8') {
    return `the database has the encoding ${encoding}, and event data are UTF-8: create one with ENCODING 'UTF8' TEMPLATE template0`
  }
  return isStandby ? 'the server is a standby and only reads: connect to the primary' : undefined
}

/** The server's major version. */
async function refuseServer(client: pg.Client): Promise<number> {
  const { rows } = await client.query<ServerFacts>(
    `SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('server_version') AS version,
       current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS is_standby`,
  )
  const facts = rows[0] as ServerFacts
  const reason = serverRefusal(facts)
  if (reason !== undefined) throw new MigrationError('refused', reason)
  return facts.major
}

/**
 * A pooler announces process ids of its own. Some proxies do that too and still keep one backend per client, so a
 * suspect is tried: does a second client get our backend, or do we get another one while it is busy?
 */
async function refusePooler(client: pg.Client, connectionString: string): Promise<void> {
  const announced = (client as unknown as { processID: number | null }).processID
  if ((await backendOf(client)) === announced) return
  const other = newClient(connectionString)
  other.on('error', () => {})
  try {
    await other.connect()
    for (let round = 0; round < PROBE_ROUNDS; round++) {
      const before = await backendOf(client)
      await other.query('BEGIN')
      const theirs = await backendOf(other)
      // With one server connection in the pool it waits until the other transaction is over.
      const after = await Promise.race([backendOf(client), sleep(PROBE_TIMEOUT_MS, undefined, { ref: false })])
      await other.query('ROLLBACK')
      if (theirs === before || after !== before) {
        throw new MigrationError('refused', `the connection leads through a pooler. ${POOLER_ADVICE}`)
      }
    }
  } finally {
    await other.end().catch(() => {})
  }
}

async function backendOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query('SELECT pg_backend_pid() AS pid')
  return rows[0].pid
}
