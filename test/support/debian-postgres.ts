// Debian's PostgreSQL 15 with all of its programs, where it is installed: what comes along with Annals has no pg_dump.

import { existsSync } from 'node:fs'
import { RecoveryServer } from '../../src/backup/recovery/recovery-server.ts'
import type { RecoveryState } from '../../src/db/backup/recovery.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.ts'
import { serverUser } from '../../src/db/embedded/server-user.ts'
import { quiet, type Teardown, testFolder } from './postgres.ts'

const FOLDER = '/usr/lib/postgresql/15'

/** Where its programs are. */
export const DEBIAN_BIN = `${FOLDER}/bin`

/** Why tests with it can't run here; false when they can. */
export const isDebianPostgresAbsent =
  !existsSync(`${DEBIAN_BIN}/postgres`) && 'PostgreSQL 15 is not installed: apt-get install postgresql-15'

/** A server of the test's own, stopped after it; its data folder is `<folder>/postgres`. */
export async function startDebianPostgres(
  t: Teardown,
  settings: Record<string, string> = {},
): Promise<EmbeddedPostgres & { folder: string }> {
  const folder = testFolder(t)
  const options = { binaries: FOLDER, settings: { fsync: 'off', ...settings } }
  const server = await startEmbeddedPostgres({ dataDir: folder, log: quiet, ...options })
  t.teardown(() => server.stop())
  return Object.assign(server, { folder })
}

/** A server on a data folder that was recovered, once it has come to where it should. */
export async function startDebianOn(
  t: Teardown,
  folder: string,
  isThere = ({ is_recovering: isRecovering }: RecoveryState) => !isRecovering,
): Promise<{ url: string; stop(): Promise<void> }> {
  const server = await RecoveryServer.start({
    ...{ folder, major: 15, pgBin: DEBIAN_BIN, user: serverUser(folder) },
    ...{ superuser: 'postgres', database: 'annals', settings: {} },
  })
  let isStopped = false
  const stop = async () => {
    if (!isStopped) await server.stop()
    isStopped = true
  }
  t.teardown(stop)
  await server.reach(isThere, new AbortController().signal, () => {})
  return { url: server.url, stop }
}
