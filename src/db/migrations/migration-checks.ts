// Whether a store is what its migrations made.

import type { RunQuery } from '../run-query.ts'
import { quoteIdentifier } from '../sql.ts'
import { MigrationError } from './migration-error.ts'
import type { MigrationStatus } from './migration-ledger.ts'
import { compareSchemas, describeSchema, readExpectedSchema, type SchemaDifference } from './schema-description.ts'

export interface Verification {
  status: MigrationStatus
  /** Objects that are not as the migrations made them; null when something is pending, so that it can't be told. */
  differences: SchemaDifference[] | null
  /** What is wrong with the data that the store relies on. */
  faults: string[]
  /** Everything is as it should be. */
  isSound: boolean
}

/** Compares the objects of the schema with those of the migrations, and the head with the events. */
export async function verifyStore(
  query: RunQuery,
  schema: string,
  folder: string,
  status: MigrationStatus,
): Promise<Verification> {
  if (status.status !== 'up_to_date') return { status, differences: null, faults: [], isSound: false }
  const differences = compareSchemas(readExpectedSchema(folder), await describeSchema(query, schema))
  const areTablesThere = !differences.some(
    ({ object, problem }) => problem === 'missing' && /^(table|column) /.test(object),
  )
  const faults = areTablesThere ? await headFaults(query, schema) : []
  return { status, differences, faults, isSound: differences.length === 0 && faults.length === 0 }
}

/**
 * What a baseline skips has to be there; of an older version only the tables are known.
 * @throws MigrationError `refused`
 */
export async function requireObjects(
  query: RunQuery,
  schema: string,
  folder: string,
  { version, isLatest }: { version: number; isLatest: boolean },
): Promise<void> {
  const differences = compareSchemas(readExpectedSchema(folder), await describeSchema(query, schema))
  const needed = new Set(['table events', ...(version >= 2 ? ['table snapshots'] : [])])
  const lacking = differences.filter(
    ({ object }) => !object.includes('annals_migrations') && (isLatest || needed.has(object)),
  )
  if (lacking.length === 0) return
  const list = lacking.map(({ object, problem }) => `${object} is ${problem}`).join('; ')
  throw new MigrationError('refused', `the schema ${schema} is not what migrations up to ${version} make: ${list}`)
}

/** Whether the store's tables hold anything that could be lost. */
export async function hasRows(query: RunQuery, schema: string): Promise<boolean> {
  const { rows } = await query(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'
       AND (relname IN ('events', 'snapshots') OR relname LIKE 'annals\\_%')
       AND relname NOT IN ('annals_migrations', 'annals_head')`,
    [quoteIdentifier(schema)],
  )
  for (const { name } of rows as { name: string }[]) {
    const table = `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
    const found = await query(`SELECT EXISTS (SELECT FROM ${table}) AS has_rows`)
    if (found.rows[0]?.['has_rows']) return true
  }
  return false
}

async function headFaults(query: RunQuery, schema: string): Promise<string[]> {
  const tables = quoteIdentifier(schema)
  const { rows } = await query(
    `SELECT (SELECT position FROM ${tables}.annals_head)::text AS head, (SELECT max(position) FROM ${tables}.events)::text AS last`,
  )
  const { head, last } = rows[0] as { head: string | null; last: string | null }
  if (head === null) return ['annals_head has no row: the last position is not known']
  if (BigInt(last ?? 0) <= BigInt(head)) return []
  return [`annals_head is at position ${head}, and there is an event at position ${last}`]
}
