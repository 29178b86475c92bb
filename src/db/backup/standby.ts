// What a failover asks of a primary and of its standby.

import pg from 'pg'

/** A server that is not there yet, or only reads, is asked as it is. */
async function ask<R extends pg.QueryResultRow>(url: string, text: string): Promise<R> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<R>(text)).rows[0] as R
  } finally {
    await client.end()
  }
}

/** Bytes of WAL that the primary has written and its standby has not replayed; null without a standby. */
export const replayLag = async (primaryUrl: string): Promise<number | null> =>
  (
    await ask<{ lag: number | null }>(
      primaryUrl,
      'SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::float8 AS lag FROM pg_stat_replication',
    )
  ).lag

/** Makes a standby the primary, and answers whether it takes writes now. */
export async function promote(standbyUrl: string): Promise<boolean> {
  await ask(standbyUrl, 'SELECT pg_promote(wait => true)')
  const { is_standby: isStandby } = await ask<{ is_standby: boolean }>(
    standbyUrl,
    'SELECT pg_is_in_recovery() AS is_standby',
  )
  return !isStandby
}

/** Whether a server answers. */
export const answers = (url: string): Promise<boolean> =>
  ask(url, 'SELECT 1').then(
    () => true,
    () => false,
  )
