// Kysely over the measured pool.

import { Kysely, PostgresDialect } from 'kysely'
import type { MeasuredPool } from './connections/pool.ts'
import type { Tables } from './tables.ts'

/**
 * Typed queries on the store's schema. Every name is qualified, because a search path set for a session does not
 * survive a pooler. The pool is its owner's to end.
 */
export function openDatabase(pool: MeasuredPool, schema: string): Kysely<Tables> {
  const dialect = new PostgresDialect({ pool: { connect: () => pool.connect(), end: async () => {} } })
  return new Kysely<Tables>({ dialect }).withSchema(schema)
}
