// Debian's PostgreSQL 15 with all of its programs, where it is installed: what comes along with Annals has no pg_dump.

import { existsSync } from 'node:fs'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded-postgres.ts'
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
