import type pg from 'pg'
import { type OwnTransaction, runOwnTransaction } from '../db/backup/own-transaction.ts'
import type { StoreAddress } from '../db/backup/store-connection.ts'
import { asBackupError } from './backup-error.ts'

/** For what belongs to work that is committed already: telling it to stop would be too late. */
export const NEVER: AbortSignal = new AbortController().signal

/** As {@link runOwnTransaction}. @throws BackupError, what the work threw made one; `stopped` when the signal was given */
export async function inOwnTransaction<T>(
  store: StoreAddress,
  how: OwnTransaction,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  try {
    return await runOwnTransaction(store, how, work)
  } catch (error) {
    throw asBackupError(error, how.signal)
  }
}
