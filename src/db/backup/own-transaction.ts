// One transaction on a connection of its own: committed when the work is done, and nothing of it left otherwise.

import type pg from 'pg'
import { BEGIN_SNAPSHOT } from './read-store.ts'
import { connectToStore, type StoreAddress } from './store-connection.ts'

const BEGIN = {
  write: 'BEGIN ISOLATION LEVEL READ COMMITTED',
  read: 'BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY',
  snapshot: BEGIN_SNAPSHOT,
}

export interface OwnTransaction {
  /** What for, as the server shows it in `pg_stat_activity`: `annals <purpose> (process …)`. */
  purpose: 'backup' | 'verify' | 'restore' | 'drill'
  /** `snapshot` only reads, and sees one moment throughout. */
  mode: keyof typeof BEGIN
  /** Ends the connection, until the commit is sent. */
  signal: AbortSignal
}

/** @throws whatever the work throws, an error of `pg`, or as {@link connectToStore} */
export async function runOwnTransaction<T>(
  store: StoreAddress,
  { purpose, mode, signal }: OwnTransaction,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = await connectToStore(store, purpose)
  // A statement that waits for the server is not told otherwise; what was not committed ends with the connection.
  const cut = () => void client.end().catch(() => {})
  signal.addEventListener('abort', cut)
  try {
    signal.throwIfAborted()
    await client.query(BEGIN[mode])
    const result = await work(client)
    signal.removeEventListener('abort', cut)
    const { command } = await client.query('COMMIT')
    if (command !== 'COMMIT') throw new Error('the database rolled the transaction back')
    return result
  } finally {
    signal.removeEventListener('abort', cut)
    await client.end().catch(() => {})
  }
}
