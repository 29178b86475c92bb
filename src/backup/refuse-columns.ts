import { type Column, columnsOf, type StoreTable } from '../db/backup/store-tables.ts'
import { BackupError } from './backup-error.ts'
import type { LoadRequest } from './driver.ts'

/**
 * A table that lacks what was backed up would lose it; a type that differs would change it. `into` is the table's name in
 * the store. @throws BackupError `refused`
 */
export async function refuseColumns(
  { into, table, columns }: { into: string; table: StoreTable; columns: readonly Column[] },
  { client, schema }: Pick<LoadRequest, 'client' | 'schema'>,
): Promise<void> {
  const there = await columnsOf((text, values) => client.query(text, values), schema, { ...table, name: into })
  const lacking = columns.filter(({ name, type }) => !there.some((each) => each.name === name && each.type === type))
  if (lacking.length === 0) return
  const list = lacking.map(({ name, type }) => `${name} ${type}`).join(', ')
  throw new BackupError(
    'refused',
    `the backup has columns of ${table.name} that the table to restore into does not have: ${list}. Add them first`,
  )
}
