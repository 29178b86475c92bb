// Putting a dump into an empty database: as SQL text through psql, in one transaction that is committed only when the
// text came to its end and held what it should. `pg_restore --table` is never used: it leaves out primary keys and says nothing.

import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import type pg from 'pg'
import {
  clearDatabase,
  countRows,
  DROP_EMPTY_PUBLIC,
  occupiedSchemas,
  readServer,
} from '../../db/backup/describe-database.ts'
import { connectToStore, type StoreAddress } from '../../db/backup/store-connection.ts'
import { Migrator } from '../../db/migrations/migrator.ts'
import { compareSchemas, describeSchema } from '../../db/migrations/schema-description.ts'
import { BackupError } from '../backup-error.ts'
import type { OpenBackup, RestoreRequest } from '../driver.ts'
import { toolConnection } from './connection.ts'
import { dumpDetails, onlyOne } from './dump-details.ts'
import { type DumpType, takesOneSchema } from './dump-plan.ts'
import { findProgram } from './find-program.ts'
import { checkScan, writeSql } from './read-dump.ts'
import { runProgram } from './run-program.ts'
import { SqlScan } from './sql-scan.ts'

export async function restoreDump(type: DumpType, request: RestoreRequest): Promise<void> {
  const backup = onlyOne(request.chain)
  const { target } = request
  const client = await connectToStore(target, 'restore')
  try {
    const occupied = await occupiedSchemas(client)
    if (occupied.length > 0) {
      throw new BackupError(
        'refused',
        `the database is not empty: it has the schema ${occupied.join(', ')}. Nothing was changed`,
      )
    }
    try {
      if (type === 'data') await new Migrator({ connectionString: target.url, schema: target.schema }).up()
      await feed(backup, request, { major: (await readServer(client)).major, before: clearing(type, target) })
      await compare(client, backup, target)
    } catch (error) {
      // What psql did is rolled back; what was migrated before it, or differs after it, goes too.
      await clearDatabase(client)
      throw error
    }
  } finally {
    await client.end().catch(() => {})
  }
}

/** What has to go first, in the dump's transaction. */
const clearing = (type: DumpType, { schema }: StoreAddress): string =>
  schema === 'public' && takesOneSchema(type) ? DROP_EMPTY_PUBLIC : ''

interface Feed {
  /** Of the server. */
  major: number
  /** SQL. */
  before: string
}

async function feed(backup: OpenBackup, request: RestoreRequest, { major, before }: Feed): Promise<void> {
  const { id } = backup.manifest
  const program = await findProgram('psql', { pgBin: request.pgBin, major, of: 'the server' })
  const { argument, env } = toolConnection(request.target.url)
  const args = ['--no-psqlrc', '--quiet', '--no-password', '--set=ON_ERROR_STOP=1', argument, '--file=-']
  const [scan, input] = [new SqlScan(), new PassThrough()]
  const failing = new AbortController()
  const signal = AbortSignal.any([request.signal, failing.signal])
  const write = async () => {
    input.write(`BEGIN;\n${before}`)
    const onBytes = (done: number) => request.progress({ step: `restoring ${id}`, unit: 'bytes', done, total: null })
    await Promise.all([writeSql(backup, { ...request, signal }, scan), pass(scan, input, signal, onBytes)])
    checkScan(backup, scan)
    input.end('\nCOMMIT;\n')
  }
  // Of psql and what is written to it the first that fails stops the other, and is the reason.
  let reason: Error | undefined
  const stopOther = (error: Error) => {
    reason ??= error
    failing.abort()
  }
  const running = runProgram(program, { args, env, signal, input })
  await Promise.all([running.catch(stopOther), write().catch(stopOther)])
  request.signal.throwIfAborted()
  if (reason !== undefined) throw reason
}

async function pass(
  scan: SqlScan,
  input: PassThrough,
  signal: AbortSignal,
  onBytes: (done: number) => void,
): Promise<void> {
  let done = 0
  for await (const piece of scan) {
    done += (piece as Buffer).length
    onBytes(done)
    if (!input.write(piece)) await once(input, 'drain', { signal })
  }
}

/** @throws BackupError `different` */
async function compare(client: pg.Client, { manifest }: OpenBackup, { schema }: StoreAddress): Promise<void> {
  const { rows, objects } = dumpDetails(manifest)
  const found = await describeSchema((text, values) => client.query(text, values), schema)
  const counts = await countRows(client, Object.keys(rows))
  const evidence = [
    ...compareSchemas(objects, found).map(({ object, problem }) => `${object} is ${problem}`),
    ...Object.keys(rows)
      .filter((table) => counts[table] !== rows[table])
      .map((table) => `${table} has ${counts[table]} rows, and ${rows[table]} were backed up`),
  ]
  if (evidence.length === 0) return
  throw new BackupError('different', 'what was restored is not what was backed up, and was taken away again', {
    evidence,
  })
}
