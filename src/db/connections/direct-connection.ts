// Connections of the operator's work: to the database itself, without the time-outs that requests have.

import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { MigrationError } from '../migrations/migration-error.ts'
import { ConnectTimeoutError, isConnectionFailure, isTlsRefusal } from '../pg-errors.ts'

const OLDEST_MAJOR = 15
const CONNECT_TIMEOUT_MS = 5_000
const PROBE_TIMEOUT_MS = 1_000
const PROBE_ROUNDS = 3

/**
 * A connection on which a statement takes as long as it takes.
 * @throws MigrationError `refused` for a server that is too old, in another encoding, or only reads, and for a pooler;
 * where nobody answers an error that names the address, and keeps the code of the system
 */
export async function openDirectConnection(connectionString: string, name: string): Promise<pg.Client> {
  const client = newClient(connectionString, name)
  // Statements in flight fail with it; without a listener it would end the process.
  client.on('error', () => {})
  // Only the work itself takes as long as it takes.
  const deadline = setTimeout(() => destroy(client), CONNECT_TIMEOUT_MS).unref()
  try {
    await connect(client)
    const major = await refuseServer(client)
    await refusePooler(client, connectionString)
    await client.query(SESSION_SETTINGS)
    if (major >= 17) await client.query('SET transaction_timeout = 0')
    return client
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  } finally {
    clearTimeout(deadline)
  }
}

async function connect(client: pg.Client): Promise<void> {
  try {
    await client.connect()
  } catch (cause) {
    const { message, code, severity } = cause as Partial<pg.DatabaseError>
    if (isTlsRefusal(cause)) throw new MigrationError('refused', `${message}. ${TLS_ADVICE}`)
    // With a severity it is an answer of the server, in its own words.
    if (severity !== undefined || !isConnectionFailure(cause)) throw cause
    const what = `the database at ${client.host}:${client.port} can't be reached (${code ?? message})`
    const hint = 'is it running, and are host and port right?'
    throw code === undefined
      ? new ConnectTimeoutError(`${what}: ${hint}`, { cause })
      : Object.assign(new Error(`${what}: ${hint}`, { cause }), { code })
  }
}

/** Cuts the connection; what is in flight fails. */
export const destroy = (client: pg.Client): void => {
  ;(client as unknown as { connection: { stream: Socket } }).connection.stream.destroy()
}

const TLS_ADVICE = 'The URL demands a certificate that its sslrootcert vouches for, with the name of the host (sslmode)'

// The work takes as long as it takes, whatever the role or the database has set for others.
const SESSION_SETTINGS = `SET statement_timeout = 0; SET lock_timeout = 0; SET idle_session_timeout = 0;
  SET idle_in_transaction_session_timeout = 0; SET default_transaction_read_only = off; SET client_min_messages = notice`

export const POOLER_ADVICE =
  'Locks of a session do not survive a pooler in transaction mode: set DATABASE_DIRECT_URL to the database itself'

const newClient = (connectionString: string, name: string): pg.Client =>
  new pg.Client({
    connectionString,
    application_name: name,
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
  const other = newClient(connectionString, 'annals (looks for a pooler)')
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
