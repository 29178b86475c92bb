// The PostgreSQL that everything runs on: the embedded one in a temporary folder, or that of DATABASE_URL, on which
// only databases of the bench's own are made and dropped.

import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.ts'
import type { Closers } from './closers.ts'
import { familySeconds, postmasterOf } from './processor-time.ts'

export interface Server {
  /** Started by this process. */
  isOwn: boolean
  version: string
  major: number
  /** Settings that decide about durability and memory. */
  settings: Record<string, string>
  /** Makes an empty database and answers its URL; dropped when `owner` closes. */
  createDatabase(owner: Closers): Promise<string>
  /** Seconds of processor time of all processes of the server; NaN when it is on another machine. */
  processorSeconds(): number
}

const SHOWN_SETTINGS = ['fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size']

/** Starts the server, or finds the one of `databaseUrl`. */
export async function openServer(closers: Closers, databaseUrl: string | undefined): Promise<Server> {
  const adminUrl = databaseUrl ?? (await startEmbedded(closers))
  const admin = new pg.Client({ connectionString: adminUrl })
  await admin.connect()
  closers.add(() => admin.end())
  const { rows } = await admin.query<{ name: string; setting: string }>(
    `SELECT name, current_setting(name) AS setting FROM pg_settings
     WHERE name = ANY($1) OR name IN ('server_version', 'server_version_num')`,
    [SHOWN_SETTINGS],
  )
  const settings = Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))
  const { server_version: version = '', server_version_num: number, ...shown } = settings
  if (shown['fsync'] !== 'on' || shown['synchronous_commit'] !== 'on') {
    throw new Error('fsync and synchronous_commit have to be on: figures without them compare nothing')
  }
  const postmaster = await localPostmaster(admin)
  return {
    isOwn: databaseUrl === undefined,
    version: version.split(' ')[0] as string,
    major: Math.floor(Number(number) / 10_000),
    settings: shown,
    async createDatabase(owner) {
      const name = `annals_bench_${randomBytes(4).toString('hex')}`
      await admin.query(`CREATE DATABASE ${name}`)
      owner.add(() => admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
      const url = new URL(adminUrl)
      url.pathname = `/${name}`
      return url.href
    },
    processorSeconds: () => (postmaster === undefined ? Number.NaN : familySeconds(postmaster)),
  }
}

async function startEmbedded(closers: Closers): Promise<string> {
  const dataDir = temporaryFolder(closers)
  const server = await startEmbeddedPostgres({
    dataDir,
    log: { info() {}, warn: console.error, error: console.error },
    settings: { max_connections: '200' },
  })
  closers.add(() => server.stop())
  return server.adminUrl
}

/** A folder below the system's temporary one that the server's user can reach; removed at the end. */
export function temporaryFolder(closers: Closers): string {
  const folder = mkdtempSync(join(tmpdir(), 'annals-bench-'))
  chmodSync(folder, 0o755)
  closers.add(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The server's first process, when it is on this machine. */
async function localPostmaster(admin: pg.Client): Promise<number | undefined> {
  const { rows } = await admin.query<{ backend: number; address: string | null }>(
    'SELECT pg_backend_pid() AS backend, host(inet_server_addr()) AS address',
  )
  const { backend, address } = rows[0] as { backend: number; address: string | null }
  return address === null || ['127.0.0.1', '::1'].includes(address) ? postmasterOf(backend) : undefined
}
