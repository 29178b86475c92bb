// Servers for faults that one server alone does not show: a standby that can be promoted, and a volume that is full.

import { execFileSync } from 'node:child_process'
import { appendFileSync, chmodSync, chownSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import pg from 'pg'
import { findBinaries } from '../../src/db/embedded/embedded-binaries.ts'
import { spawnPostmaster, stopPostmaster } from '../../src/db/embedded/postmaster.ts'
import { handOver, serverUser } from '../../src/db/embedded/server-user.ts'
import { runSql, type Teardown, type TestCluster, testBinaries, testFolder } from '../support/postgres.ts'
import { until } from '../support/service.ts'

export interface Standby {
  /** The primary's URL, at the standby. */
  url: string
  /** Resolves when it takes writes. */
  promote(): Promise<void>
}

// What belongs to the running primary alone, and is not copied.
const LEFT_OUT = new Set(['postmaster.pid', 'postmaster.opts', 'pg_internal.init'])
const LEFT_EMPTY = new Set([
  'pg_replslot',
  'pg_dynshmem',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
])

/** A streaming standby of the cluster, on a Unix socket of its own; made by the low-level backup functions. */
export async function startStandby(t: Teardown, primary: TestCluster): Promise<Standby> {
  const folder = testFolder(t)
  const data = join(folder, 'postgres')
  const sockets = join(folder, 'run')
  const user = serverUser(join(primary.dataDir, 'postgres'))
  mkdirSync(sockets)
  await copyData(primary, data)
  const at = new URL(primary.adminUrl)
  writeFileSync(join(data, 'standby.signal'), '')
  appendFileSync(
    join(data, 'postgresql.auto.conf'),
    `primary_conninfo = 'host=${at.searchParams.get('host')} port=${at.port || '5432'} user=${at.username}'\n`,
  )
  chmodSync(data, 0o700)
  if (user !== undefined) {
    handOver(data, user)
    chownSync(sockets, user.uid, user.gid)
  }
  const { binaries } = testBinaries()
  const { postgres } = await findBinaries(binaries, folder, user)
  const args = ['-D', data, '-p', '5432', '-c', 'listen_addresses=', '-c', `unix_socket_directories=${sockets}`]
  const server = spawnPostmaster(postgres, args, join(folder, 'log'), user)
  t.teardown(() => stopPostmaster(server, 2_000))
  const elsewhere = (url: string) => {
    const changed = new URL(url)
    changed.searchParams.set('host', sockets)
    return changed.href
  }
  const adminUrl = elsewhere(primary.adminUrl)
  await until(
    () =>
      runSql(adminUrl, 'SELECT 1').then(
        () => true,
        () => false,
      ),
    20_000,
  )
  return {
    url: elsewhere(primary.url),
    promote: async () => {
      await runSql(adminUrl, 'SELECT pg_promote(true, 30)')
    },
  }
}

async function copyData(primary: TestCluster, to: string): Promise<void> {
  const from = join(primary.dataDir, 'postgres')
  const admin = new pg.Client({ connectionString: primary.adminUrl })
  await admin.connect()
  try {
    await admin.query(`SELECT pg_backup_start('standby', true)`)
    cpSync(from, to, {
      recursive: true,
      filter: (path) => !LEFT_OUT.has(basename(path)) && !LEFT_EMPTY.has(basename(dirname(path))),
    })
    const { rows } = await admin.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)')
    writeFileSync(join(to, 'backup_label'), rows[0]?.labelfile ?? '')
    // What was written while the copy was made.
    cpSync(join(from, 'pg_wal'), join(to, 'pg_wal'), { recursive: true, force: true })
  } finally {
    await admin.end()
  }
}

export interface SmallVolume {
  path: string
  /** Takes all the room that is left. */
  fill(): void
  free(): void
}

/** Why there can be no small volume here; false when there can. */
export const isVolumeAbsent = mountProblem()

/** A file system of its own in memory, for the server's user. */
export function mountVolume(t: Teardown, cluster: TestCluster, mebibytes: number): SmallVolume {
  const path = join(cluster.dataDir, 'volume')
  mkdirSync(path)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0700`, 'tmpfs', path])
  t.teardown(() => execFileSync('umount', ['--lazy', path]))
  const user = serverUser(join(cluster.dataDir, 'postgres'))
  if (user !== undefined) chownSync(path, user.uid, user.gid)
  const filler = join(path, 'filler')
  return {
    path,
    fill() {
      for (const bytes of [1024 * 1024, 4096]) {
        try {
          for (;;) appendFileSync(filler, Buffer.alloc(bytes))
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
        }
      }
    },
    free: () => rmSync(filler),
  }
}

function mountProblem(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'a small volume needs root on Linux'
  const probe = `/tmp/annals-mount-${process.pid}`
  mkdirSync(probe)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', probe], { stdio: 'ignore' })
    execFileSync('umount', [probe])
    return false
  } catch {
    return 'this container may not mount a volume'
  } finally {
    rmSync(probe, { recursive: true })
  }
}
