// The objects of a freshly migrated schema, which `annals migrate verify` compares a store with.

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.ts'
import { Migrator } from '../../src/db/migrations/migrator.ts'
import { describeSchema } from '../../src/db/migrations/schema-description.ts'

/** `migrations/schema.json`. */
export async function schemaDescription(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'annals-schema-'))
  chmodSync(folder, 0o755)
  const quiet = { info() {}, warn() {}, error: console.error }
  const server = await startEmbeddedPostgres({ dataDir: folder, log: quiet, settings: { fsync: 'off' } })
  const client = new pg.Client({ connectionString: server.url })
  try {
    await new Migrator({ connectionString: server.url }).up()
    await client.connect()
    const description = await describeSchema((text, values) => client.query(text, values), 'public')
    return `${JSON.stringify(description, null, 2)}\n`
  } finally {
    await client.end()
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
