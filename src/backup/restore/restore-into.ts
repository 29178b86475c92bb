// Into a store that holds nothing, which is made where there is none; or into one that may be emptied first.

import type pg from 'pg'
import { clearDatabase } from '../../db/backup/describe-database.ts'
import type { StoreAddress } from '../../db/backup/store-connection.ts'
import {
  describeRows,
  emptyStore,
  isSchemaEmpty,
  lockStore,
  setHead,
  settleStore,
} from '../../db/backup/write-store.ts'
import { MIGRATIONS_FOLDER } from '../../db/migrations/migration-files.ts'
import { Migrator } from '../../db/migrations/migrator.ts'
import { compareSchemas, describeSchema, readExpectedSchema } from '../../db/migrations/schema-description.ts'
import { asBackupError, BackupError } from '../backup-error.ts'
import type { JobContext } from '../driver.ts'
import type { Manifest } from '../manifest.ts'
import type { Checked } from '../open/open-checked.ts'
import { inOwnTransaction, NEVER } from '../own-transaction.ts'
import { compareContents } from './compare-contents.ts'

export interface RestoreIntoOptions {
  target: StoreAddress
  /** Takes out what the store holds. */
  isForced: boolean
}

/**
 * What is done before the catalogue of the target can be asked for: of a target that has none yet it is made.
 * @throws BackupError `refused` for one that is not empty; then nothing of it has changed
 */
export async function prepareInto(
  { driver }: Checked,
  options: RestoreIntoOptions,
  context: JobContext,
): Promise<void> {
  const { target, isForced } = options
  await inOwnTransaction(target, { purpose: 'restore', mode: 'write', signal: context.signal }, async (client) => {
    const held = await describeRows(client, target.schema)
    if (held.length > 0 && !isForced) throw notEmpty(held)
    if (driver.load === undefined && !(await isSchemaEmpty(client, target.schema))) {
      throw new BackupError(
        'refused',
        `the schema ${target.schema} is not empty, and a backup of type ${driver.type} brings its own tables. Nothing was changed`,
      )
    }
  })
  if (driver.load !== undefined) await migrate(target, context)
}

/** @throws BackupError; then the store holds what it held before */
export async function restoreInto(checked: Checked, options: RestoreIntoOptions, context: JobContext): Promise<void> {
  const { driver } = checked
  if (driver.load !== undefined) await loadInto(checked, options, context)
  else if (driver.restore !== undefined) await restoreWhole(checked, options, context)
  else throw new BackupError('refused', `a backup of type ${driver.type} can't be restored into a database`)
}

async function loadInto(checked: Checked, { target, isForced }: RestoreIntoOptions, context: JobContext) {
  const { backups: chain, driver, manifest } = checked
  const { schema } = target
  await inOwnTransaction(target, { purpose: 'restore', mode: 'write', signal: context.signal }, async (client) => {
    await lockStore(client, schema, 'EXCLUSIVE')
    const held = await describeRows(client, schema)
    if (held.length > 0 && !isForced) throw notEmpty(held)
    if (held.length > 0) await emptyStore(client, schema)
    await driver.load?.({ ...context, chain, client, schema })
    await finish(client, schema, manifest, context)
  })
  await settle(target)
}

async function restoreWhole(
  { backups: chain, driver, manifest }: Checked,
  { target }: RestoreIntoOptions,
  context: JobContext,
) {
  await driver.restore?.({ ...context, chain, target })
  // Definitions alone, some tables or roles make no store.
  if (manifest.contents === null) return
  try {
    await migrate(target, context)
    await inOwnTransaction(target, { purpose: 'restore', mode: 'write', signal: context.signal }, (client) =>
      finish(client, target.schema, manifest, context),
    )
  } catch (error) {
    await inOwnTransaction(target, { purpose: 'restore', mode: 'write', signal: NEVER }, clearDatabase)
    throw error
  }
  await settle(target)
}

async function finish(client: pg.Client, schema: string, { contents }: Manifest, context: JobContext): Promise<void> {
  if (contents === null) return
  await setHead(client, schema, contents.head)
  await compareContents(client, schema, { expected: contents }, context)
  await compareObjects(client, schema)
}

const notEmpty = (held: string[]): BackupError =>
  new BackupError(
    'refused',
    `the store is not empty: it holds ${held.join(', ')}. Nothing was changed. Restore into another database, or use --mode replace, or --force to lose what is there`,
  )

/** Makes the schema where there is none, and brings it up to this version. */
async function migrate({ url, schema }: StoreAddress, { log }: JobContext): Promise<void> {
  try {
    await new Migrator({ connectionString: url, schema, log }).up()
  } catch (error) {
    throw asBackupError(error)
  }
}

/** @throws BackupError `different` when tables, keys, indexes, triggers or functions are not as the migrations make them */
async function compareObjects(client: pg.Client, schema: string): Promise<void> {
  const found = await describeSchema((text, values) => client.query(text, values), schema)
  const differences = compareSchemas(readExpectedSchema(MIGRATIONS_FOLDER), found)
  if (differences.length === 0) return
  throw new BackupError('different', `the schema ${schema} is not as the migrations make it`, {
    evidence: differences.map(({ object, problem }) => `${object} is ${problem}`),
  })
}

const settle = (target: StoreAddress): Promise<void> =>
  inOwnTransaction(target, { purpose: 'restore', mode: 'write', signal: NEVER }, (client) =>
    settleStore(client, target.schema),
  )
