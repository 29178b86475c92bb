// One stream out of a backup, beside the events, to be looked at and compared: nothing that is in use changes.

import type { StoreAddress } from '../../db/backup/store-connection.ts'
import {
  compareStream,
  createStreamTable,
  describeStreamTable,
  type StreamDifferences,
} from '../../db/backup/stream-copy.ts'
import { BackupError } from '../backup-error.ts'
import { momentOf } from '../backup-id.ts'
import type { JobContext } from '../driver.ts'
import { inOwnTransaction } from '../own-transaction.ts'
import type { Loadable } from './loadable.ts'

export interface RestoredStream extends StreamDifferences {
  /** Table in the store's schema with the stream as the backup has it. */
  table: string
}

/** @throws BackupError `not_found` when the backup has no such stream; then there is no table either */
export async function restoreStream(
  { load, backups: chain, manifest }: Loadable,
  { target, stream }: { target: StoreAddress; stream: string },
  context: JobContext,
): Promise<RestoredStream> {
  const { schema } = target
  const table = `annals_stream_${momentOf(new Date())}`
  return inOwnTransaction(target, { purpose: 'restore', mode: 'write', signal: context.signal }, async (client) => {
    await createStreamTable(client, schema, table)
    await load({ ...context, chain, client, schema, part: { tables: ['events'], stream: { id: stream, into: table } } })
    await describeStreamTable(client, schema, table, `stream ${stream} of ${manifest.id}`)
    const found = await compareStream(client, schema, table, stream)
    if (found.events > 0) return { table, ...found }
    throw new BackupError('not_found', `${manifest.id} has no stream ${JSON.stringify(stream)}`)
  })
}
