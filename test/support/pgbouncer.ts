// The real PgBouncer, where it is installed (Debian's package `pgbouncer`).

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { handOver, serverUser } from '../../src/db/embedded/server-user.ts'
import { runSql, type Teardown, testFolder } from './postgres.ts'
import { until } from './service.ts'

const PROGRAM = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer'].find((path) =>
  existsSync(path),
)

/** Why tests with it can't run here; false when they can. */
export const isPgBouncerAbsent = PROGRAM === undefined && 'PgBouncer is not installed: apt-get install pgbouncer'

export interface PgBouncerOptions {
  mode: 'transaction' | 'session'
  /** Server connections. */
  size: number
}

export interface PgBouncer {
  /** Leads through it to the database. */
  url: string
  signal(signal: NodeJS.Signals): void
  /** `kill -9`; its clients' connections end with it. */
  kill(): Promise<void>
  /** Starts it again on the same socket; resolves when the database answers through it. */
  start(): Promise<void>
}

/** Starts it before the database of `url`, listening on a socket in a folder of its own; ended after the test. */
export async function startPgBouncer(t: Teardown, url: string, { mode, size }: PgBouncerOptions): Promise<PgBouncer> {
  const target = new URL(url)
  const folder = testFolder(t)
  const server = {
    host: target.searchParams.get('host') ?? target.hostname,
    port: target.port || '5432',
    dbname: target.pathname.slice(1),
    user: decodeURIComponent(target.username),
    ...(target.password !== '' && { password: decodeURIComponent(target.password) }),
  }
  const settings = {
    listen_addr: '',
    unix_socket_dir: folder,
    logfile: join(folder, 'log'),
    auth_type: 'any',
    pool_mode: mode,
    default_pool_size: size,
    max_client_conn: 1_000,
    // A server that was away is tried again after a second, not 15.
    server_login_retry: 1,
  }
  const lines = (entries: object, join: string) =>
    Object.entries(entries).map(([key, value]) => `${key}${join}${value}`)
  const connection = lines(server, '=').join(' ')
  writeFileSync(
    join(folder, 'ini'),
    ['[databases]', `* = ${connection}`, '[pgbouncer]', ...lines(settings, ' = '), ''].join('\n'),
  )
  const user = serverUser(folder)
  if (user !== undefined) handOver(folder, user)
  const pooled = `postgres://${target.username}@localhost:6432/${server.dbname}?host=${folder}`
  let child: ChildProcess | undefined
  const kill = async () => {
    const killed = child
    child = undefined
    if (killed === undefined) return
    const exit = once(killed, 'exit')
    killed.kill('SIGKILL')
    await exit
  }
  const start = async () => {
    // One that was killed leaves its socket.
    rmSync(join(folder, '.s.PGSQL.6432'), { force: true })
    child = spawn(PROGRAM as string, [join(folder, 'ini')], {
      stdio: 'ignore',
      ...(user !== undefined && { uid: user.uid, gid: user.gid }),
    })
    await until(async () => (await runSql(pooled, 'SELECT 1').catch(() => [])).length === 1)
  }
  t.teardown(kill)
  await start()
  return { url: pooled, signal: (signal) => child?.kill(signal), kill, start }
}
