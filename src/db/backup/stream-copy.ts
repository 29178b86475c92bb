// One stream as a backup has it, in a table beside the events, and how it differs from the stream in use.

import type pg from 'pg'
import { EVENTS, qualified } from './store-tables.ts'

export interface StreamDifferences {
  /** Events of the stream in the backup. */
  events: number
  same: number
  different: number
  /** Only in the backup. */
  missing: number
  /** Only in the store: what came after the backup, for instance. */
  newer: number
  /** The first that are different or missing, in words. */
  evidence: string[]
}

/** Makes the table, with the columns of events and without a row; readers of the store do not see it. */
export async function createStreamTable(client: pg.Client, schema: string, table: string): Promise<void> {
  await client.query(
    `CREATE TABLE ${qualified(schema, table)} (LIKE ${qualified(schema, EVENTS.name)} INCLUDING DEFAULTS)`,
  )
}

/** Names what the table holds. */
export async function describeStreamTable(
  client: pg.Client,
  schema: string,
  table: string,
  what: string,
): Promise<void> {
  await client.query(`ALTER TABLE ${qualified(schema, table)} ADD PRIMARY KEY (stream_id, version)`)
  await client.query(`COMMENT ON TABLE ${qualified(schema, table)} IS '${what.replaceAll("'", "''")}'`)
}

/** Compares a table of one restored stream with the stream in use, event by event; up to ten versions of a kind are named. */
export async function compareStream(
  client: pg.Client,
  schema: string,
  table: string,
  stream: string,
): Promise<StreamDifferences> {
  const own = (alias: string) => `(${EVENTS.columns.map((name) => `${alias}.${name}`).join(', ')})`
  const { rows } = await client.query<{ outcome: string; count: number; versions: string[] }>(
    `SELECT outcome, count(*)::int AS count, (array_agg(version ORDER BY version))[1:10]::text[] AS versions
     FROM (
       SELECT coalesce(a.version, b.version) AS version, CASE
         WHEN b.version IS NULL THEN 'missing' WHEN a.version IS NULL THEN 'newer'
         WHEN ${own('a')} IS DISTINCT FROM ${own('b')} THEN 'different' ELSE 'same' END AS outcome
       FROM ${qualified(schema, table)} AS a
       FULL JOIN (SELECT * FROM ${qualified(schema, EVENTS.name)} WHERE stream_id = $1) AS b
         ON b.stream_id = a.stream_id AND b.version = a.version
     ) AS compared GROUP BY outcome`,
    [stream],
  )
  const of = (outcome: string) => rows.find((row) => row.outcome === outcome)?.count ?? 0
  const evidence = rows
    .filter(({ outcome }) => outcome === 'missing' || outcome === 'different')
    .map(
      ({ outcome, versions }) =>
        `${outcome} in the store: ${versions.map((version) => `${stream}@${version}`).join(', ')}`,
    )
  const [same, different, missing, newer] = [of('same'), of('different'), of('missing'), of('newer')]
  return { events: same + different + missing, same, different, missing, newer, evidence }
}
