// The tables as Kysely sees them; the SQL is in migrations/. Values arrive as result-types.ts reads them.

import type { ColumnType, Generated } from 'kysely'

/** int8: a number, as positions and versions never reach 2^53. */
type Int8 = ColumnType<number, number | bigint | string, number | bigint | string>

/** timestamptz: RFC 3339 in UTC with microseconds. */
type Timestamp = ColumnType<string, string | undefined, string>

/** jsonb: its text, so that no number is rounded. */
type JsonText = ColumnType<string | null, string | null | undefined, string | null>

export interface EventsTable {
  stream_id: string
  version: Int8
  event_type: string
  event_data: Buffer
  metadata: JsonText
  created_at: Timestamp
  position: ColumnType<number, number | bigint | string | undefined, number | bigint | string>
  event_id: Generated<string>
  content_type: ColumnType<string | null, string | null | undefined, string | null>
  is_json: Generated<boolean>
}

export interface SnapshotsTable {
  stream_id: string
  version: Int8
  state_data: Buffer
  created_at: Timestamp
  content_type: ColumnType<string | null, string | null | undefined, string | null>
  is_json: Generated<boolean>
}

export interface HeadTable {
  singleton: Generated<boolean>
  position: Int8
  largest_event_bytes: Int8
  epoch: Generated<string>
}

export interface Tables {
  events: EventsTable
  snapshots: SnapshotsTable
  annals_head: HeadTable
}
