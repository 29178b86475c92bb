// Where the rows of a table lie on disk, for the drill that damages one.

import type pg from 'pg'
import { quoteIdentifier } from '../sql.ts'

/** The file of the events, relative to the data folder, and whether pages have checksums. All is on disk afterwards. */
export async function eventsFile(client: pg.Client, schema: string): Promise<{ path: string; checksums: boolean }> {
  const { rows } = await client.query(
    `SELECT pg_relation_filepath($1::regclass) AS path, current_setting('data_checksums') = 'on' AS checksums`,
    [`${quoteIdentifier(schema)}.events`],
  )
  return rows[0]
}
