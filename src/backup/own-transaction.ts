// One transaction on a connection of its own: committed when the work is done, and nothing of it left otherwise.

import type pg from 'pg'
import { connectToStore, type StoreAddress } from '../db/backup/store-connection.ts'
import { asBackupError } from './backup-error.ts'

/** For what belongs to work that is committed already: telling it to stop would be too late. */
export const NEVER: AbortSignal = new AbortController().signal

/** @throws BackupError, what the work threw made one; `stopped` when the signal was given */
export async function inTransaction<T>(
  store: StoreAddress,
  { begin, signal }: { begin: string; signal: AbortSignal },
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = await connectToStore(store, 'restore').catch((error: unknown) => {
    throw asBackupError(error)
  })
  // A statement that waits for the server is not told otherwise; what was not committed ends with the connection.
  const cut = () => void client.end().catch(() => {})
  signal.addEventListener('abort', cut)
  try {
    signal.throwIfAborted()
    await client.query(begin)
    const result = await work(client)
    signal.removeEventListener('abort', cut)
    const { command } = await client.query('COMMIT')
    if (command !== 'COMMIT') throw new Error('the database rolled the transaction back')
    return result
  } catch (error) {
    throw asBackupError(error, signal)
  } finally {
    signal.removeEventListener('abort', cut)
    await client.end().catch(() => {})
  }
}
