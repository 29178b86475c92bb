// What each type of dump takes of a database.

import type { Relation } from '../../db/backup/describe-database.ts'
import { EVENTS, SNAPSHOTS, STORE_TABLES } from '../../db/backup/store-tables.ts'
import { quoteIdentifier } from '../../db/sql.ts'
import { BackupError, OptionError } from '../backup-error.ts'
import type { CreateOptions } from '../driver.ts'
import { TABLE_GROUPS, type TableGroup } from '../table-groups.ts'

export type DumpType = 'full' | 'events' | 'events-snapshots' | 'schema' | 'data' | 'tables'

export interface DumpPlan {
  /** Of pg_dump. */
  args: string[]
  /** Tables whose rows are in it, as paths. */
  filled: string[]
  /** The store's tables that are in it with their definition; all when absent. */
  defined?: string[]
}

/** What a dump has of a store with its rows; what an older Annals did not have yet is empty. */
export function heldBy(type: DumpType): readonly TableGroup[] {
  switch (type) {
    case 'full':
    case 'data':
      return TABLE_GROUPS
    case 'events':
      return ['events']
    case 'events-snapshots':
      return ['events', 'snapshots']
    case 'schema':
    case 'tables':
      return []
  }
}

/** What an empty store would lack to be a store: its migrations and its head. */
const BOOKS = ['annals_head', 'annals_migrations']

/** Whether pg_dump is told the store's schema, and so writes a statement that makes it. */
export const takesOneSchema = (type: DumpType): boolean =>
  type === 'events' || type === 'events-snapshots' || type === 'tables'

/** @throws OptionError */
export function checkDumpOptions(type: DumpType, { format, gzip, tables }: CreateOptions): void {
  if (gzip && format !== 'plain') {
    throw new OptionError('gzip', 'only_plain', 'is for the format plain; the custom one is compressed by itself')
  }
  if (type === 'tables' && tables === undefined) {
    throw new OptionError('tables', 'required', 'has to say which they are, for instance events and snapshots')
  }
}

/**
 * Types that take a part of the store take the definitions of all of it: functions and triggers with them, so that what is
 * restored is whole. `pg_dump --table` would leave out the functions that the triggers call.
 * @throws BackupError `refused` for tables that are not there, or can't be without others
 */
export function planDump(
  type: DumpType,
  { schema, relations, options }: { schema: string; relations: Relation[]; options: CreateOptions },
): DumpPlan {
  const ours = relations.filter((relation) => relation.schema === schema)
  const pathsOf = (chosen: Relation[]) => chosen.filter(({ holds_rows: holds }) => holds).map(({ path }) => path)
  const onlySchema = `--schema=${quoteIdentifier(schema)}`
  const pattern = ({ schema: of, name }: Relation) => `${quoteIdentifier(of)}.${quoteIdentifier(name)}`
  switch (type) {
    case 'full':
      return { args: [], filled: pathsOf(relations) }
    case 'schema':
      return { args: ['--schema-only'], filled: [] }
    case 'data': {
      const tables = ours.filter(({ name }) => STORE_TABLES.some((table) => table.name === name))
      return { args: ['--data-only', ...tables.map((each) => `--table=${pattern(each)}`)], filled: pathsOf(tables) }
    }
    case 'events':
    case 'events-snapshots': {
      const wanted = [EVENTS.name, ...BOOKS, ...(type === 'events' ? [] : [SNAPSHOTS.name])]
      const others = ours.filter(({ name, holds_rows: holds }) => holds && !wanted.includes(name))
      const args = [onlySchema, ...others.map((each) => `--exclude-table-data=${pattern(each)}`)]
      return { args, filled: pathsOf(ours.filter(({ name }) => wanted.includes(name))) }
    }
    case 'tables': {
      const wanted = chooseTables(ours, schema, options.tables ?? [])
      const others = ours.filter((each) => !wanted.includes(each))
      const args = [onlySchema, ...others.map((each) => `--exclude-table=${pattern(each)}`)]
      return { args, filled: pathsOf(wanted), defined: wanted.map(({ name }) => name) }
    }
  }
}

function chooseTables(ours: Relation[], schema: string, names: string[]): Relation[] {
  const wanted = [...new Set(names)].map((name) => {
    const relation = ours.find((each) => each.name === name)
    if (relation !== undefined) return relation
    throw new BackupError('refused', `there is no table ${JSON.stringify(name)} in the schema ${schema}`)
  })
  for (const { name, refers_to: others } of wanted) {
    const missing = others.find((other) => !names.includes(other))
    if (missing === undefined) continue
    throw new BackupError('refused', `${name} refers to ${missing}, without which it can't be restored: add that too`)
  }
  return wanted
}
