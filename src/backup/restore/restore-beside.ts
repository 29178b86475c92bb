// Into a store that is in use: restored beside its tables, compared, and swapped with them, while writers are kept out
// and readers go on. What was in use is kept until somebody says that it may go.

import type pg from 'pg'
import { markKept } from '../../db/backup/kept-tables.ts'
import {
  copyFromUse,
  createSideTables,
  indexSideTables,
  readParts,
  swapTables,
  unswappable,
} from '../../db/backup/side-tables.ts'
import type { StoreAddress } from '../../db/backup/store-connection.ts'
import { STORE_TABLES } from '../../db/backup/store-tables.ts'
import { bringConsumersBack, dropSnapshotsAhead, lockStore, setHead, settleStore } from '../../db/backup/write-store.ts'
import { compareSchemas, describeSchema } from '../../db/migrations/schema-description.ts'
import { BackupError } from '../backup-error.ts'
import { momentOf } from '../backup-id.ts'
import type { JobContext } from '../driver.ts'
import { inOwnTransaction, NEVER } from '../own-transaction.ts'
import { GROUPS, TABLE_GROUPS, type TableGroup } from '../table-groups.ts'
import { compareContents } from './compare-contents.ts'
import type { Loadable } from './loadable.ts'

export interface RestoreBesideOptions {
  target: StoreAddress
  /** What is taken from the backup. Where it is events, the rest is brought back to their head. */
  groups: readonly TableGroup[]
}

export interface RestoredBeside {
  /** Schema with the tables that were in use. */
  kept: string
  /** Snapshots that were ahead of what was restored, and are not there any more. */
  snapshots_dropped: number
  /** Partitions of consumers that were ahead, and begin again at the head. */
  consumers_moved: number
}

/** @throws BackupError; then nothing has changed */
export async function restoreBeside(
  checked: Loadable,
  { target, groups }: RestoreBesideOptions,
  context: JobContext,
): Promise<RestoredBeside> {
  const { schema } = target
  const stamp = momentOf(new Date())
  const [side, kept] = [`annals_restore_${stamp}`, `annals_before_${stamp}`]
  // Without the events of the backup, the events in use stay where they are.
  const swapped = groups.includes('events') ? TABLE_GROUPS : groups
  const tables = swapped.flatMap((group) => GROUPS[group])
  const loaded = groups.flatMap((group): readonly string[] => GROUPS[group])
  const how = { purpose: 'restore', mode: 'write' } as const
  const restored = await inOwnTransaction(target, { ...how, signal: context.signal }, async (client) => {
    context.log(`writers of ${schema} are kept out from now on; readers go on`)
    await lockStore(client, schema, 'EXCLUSIVE')
    await refuseUnswappable(client, schema, tables)
    const before = await describe(client, schema)
    const parts = await readParts(client, schema, tables)
    await createSideTables(client, schema, side, tables)
    await fill(client, { checked, schema, side, tables, loaded }, context)
    await indexSideTables(client, schema, side, parts)
    const adjusted = await adjust(client, { checked, schema, side, tables })
    await lockStore(client, schema, 'ACCESS EXCLUSIVE')
    await swapTables(client, schema, { side, kept, parts })
    await markKept(client, schema, kept, `before the restore of ${checked.manifest.id}`)
    await refuseChanged(before, await describe(client, schema))
    return { kept, ...adjusted }
  })
  await inOwnTransaction(target, { ...how, signal: NEVER }, (client) => settleStore(client, schema))
  return restored
}

interface Sides {
  checked: Loadable
  schema: string
  side: string
  /** That are swapped. */
  tables: readonly string[]
}

async function fill(
  client: pg.Client,
  { checked, schema, side, tables, loaded }: Sides & { loaded: readonly string[] },
  context: JobContext,
): Promise<void> {
  const { contents, backups: chain } = checked
  await checked.load({ ...context, chain, client, schema: side, part: { tables: loaded } })
  if (tables.includes('annals_head')) await setHead(client, side, contents.head)
  await compareContents(client, side, { expected: contents, tables: loaded }, context)
  const others = STORE_TABLES.filter(({ name }) => tables.includes(name) && !loaded.includes(name))
  await copyFromUse(client, schema, side, others)
}

/** Nothing may be ahead of the events that it is about. */
async function adjust(
  client: pg.Client,
  { checked, schema, side, tables }: Sides,
): Promise<{ snapshots_dropped: number; consumers_moved: number }> {
  const hasEvents = tables.includes('events')
  const { head } = checked.contents
  return {
    snapshots_dropped: tables.includes('snapshots')
      ? await dropSnapshotsAhead(client, side, hasEvents ? side : schema)
      : 0,
    consumers_moved: hasEvents ? await bringConsumersBack(client, side, head) : 0,
  }
}

const describe = (client: pg.Client, schema: string) =>
  describeSchema((text, values) => client.query(text, values), schema)

async function refuseUnswappable(client: pg.Client, schema: string, tables: readonly string[]): Promise<void> {
  const evidence = await unswappable(client, schema, tables)
  if (evidence.length === 0) return
  throw new BackupError(
    'refused',
    'the tables in use can not be replaced, because something of them would stay with the old ones. Nothing was changed',
    { evidence },
  )
}

/** @throws BackupError `different` when an object is not as it was, or one is there that was not */
async function refuseChanged(before: Record<string, string>, after: Record<string, string>): Promise<void> {
  const evidence = [
    ...compareSchemas(before, after).map(({ object, problem }) => `${object} is ${problem}`),
    ...Object.keys(after)
      .filter((object) => before[object] === undefined)
      .map((object) => `${object} was not there before`),
  ]
  if (evidence.length === 0) return
  throw new BackupError('different', 'the restored tables are not made as those in use; nothing was changed', {
    evidence,
  })
}
