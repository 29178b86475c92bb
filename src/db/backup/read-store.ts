// What a backup has to know about a store, read in one snapshot.

import type pg from 'pg'
import { EPOCH_COLUMNS } from '../store-epoch.ts'
import { qualified } from './store-tables.ts'

/** Begins a transaction of which every statement sees the same moment. */
export const BEGIN_SNAPSHOT = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'

/** For the transaction: in the order of an index that is there anyway, as sorting would write the table to disk once more. */
export async function readInOrder(client: pg.Client): Promise<void> {
  await client.query('SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off; SET LOCAL jit = off')
}

export interface StoreHead {
  head: number
  epoch: string | null
  migration: number
}

/** @throws an error of `pg` when the schema holds no store */
export async function readHead(client: pg.Client, schema: string): Promise<StoreHead> {
  const { rows } = await client.query<StoreHead>(
    `SELECT h.position::float8 AS head, ${EPOCH_COLUMNS},
       (SELECT coalesce(max(version), 0) FROM ${qualified(schema, 'annals_migrations')} WHERE state = 'applied') AS migration
     FROM ${qualified(schema, 'annals_head')} AS h`,
  )
  if (rows[0] === undefined) throw new Error('annals_head has no row: the last position is not known')
  return rows[0]
}
