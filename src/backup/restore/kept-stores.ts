// What restores have put aside: listed, put back into use, or dropped.

import { dropKept, type KeptTables, listKept, markKept, takeBack } from '../../db/backup/kept-tables.ts'
import type { StoreAddress } from '../../db/backup/store-connection.ts'
import { lockStore, renewEpoch, settleStore } from '../../db/backup/write-store.ts'
import { BackupError } from '../backup-error.ts'
import { momentOf } from '../backup-id.ts'
import type { JobContext } from '../driver.ts'
import { inOwnTransaction, NEVER } from '../own-transaction.ts'

/** The newest first. */
export const listKeptStores = (store: StoreAddress, { signal }: JobContext): Promise<KeptTables[]> =>
  inOwnTransaction(store, { purpose: 'restore', mode: 'read', signal }, (client) => listKept(client, store.schema))

/** Drops what is kept: the one of this name, or all. Answers their names. @throws BackupError `not_found` */
export const confirmRestore = (
  store: StoreAddress,
  name: string | undefined,
  { signal }: JobContext,
): Promise<string[]> =>
  inOwnTransaction(store, { purpose: 'restore', mode: 'write', signal }, async (client) => {
    const kept = wanted(await listKept(client, store.schema), name)
    for (const each of kept) await dropKept(client, each)
    return kept.map((each) => each.name)
  })

/** Puts what is kept back into use, the newest unless one is named; what was in use is kept instead. */
export async function revertRestore(
  store: StoreAddress,
  name: string | undefined,
  { signal }: JobContext,
): Promise<{ reverted: string; kept: string }> {
  const { schema } = store
  const done = await inOwnTransaction(store, { purpose: 'restore', mode: 'write', signal }, async (client) => {
    await lockStore(client, schema, 'ACCESS EXCLUSIVE')
    const back = wanted(await listKept(client, schema), name)[0] as KeptTables
    const { name: reverted, tables } = back
    const kept = `annals_before_${momentOf(new Date())}`
    await takeBack(client, schema, back, kept)
    await markKept(client, schema, kept, `before ${reverted} was put back`)
    if (tables.includes('annals_head')) await renewEpoch(client, schema)
    return { reverted, kept }
  })
  await inOwnTransaction(store, { purpose: 'restore', mode: 'write', signal: NEVER }, (client) =>
    settleStore(client, schema),
  )
  return done
}

function wanted(kept: KeptTables[], name: string | undefined): KeptTables[] {
  const chosen = name === undefined ? kept : kept.filter((each) => each.name === name)
  if (chosen.length > 0) return chosen
  throw new BackupError(
    'not_found',
    name === undefined ? 'nothing is kept from a restore' : `nothing is kept under the name ${name}`,
  )
}
