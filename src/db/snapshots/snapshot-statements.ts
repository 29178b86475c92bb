// The statements about one stream's snapshot, and how their rows are read.

import { isUtf8 } from 'node:buffer'
import { lines, streamEvents } from '../read/read-events.ts'
import { quoteIdentifier, rfc3339 } from '../sql.ts'
import type { Row, Statement } from '../statement.ts'
import type { PreparedSnapshot, StatePage, StateQuery, StoredSnapshot } from './snapshot-store.ts'

const headOf = (tables: string): string => `SELECT max(version) AS version FROM ${tables}.events WHERE stream_id = $1`

/**
 * One row: the stream's version or null, whether the snapshot is new (null: it was refused), when it was stored.
 * Whoever saves at the same time waits for the row and then compares with what was stored meanwhile. The stream may
 * grow after its version was read, which refuses nothing that was right.
 */
export function saveStatement(schema: string, snapshot: PreparedSnapshot): Statement {
  const tables = quoteIdentifier(schema)
  return {
    name: 'annals_save_snapshot',
    // xmax is 0 in a row that was inserted, and the lock of this transaction in one that was updated.
    text: `WITH head AS (${headOf(tables)}), saved AS (
        INSERT INTO ${tables}.snapshots AS s (stream_id, version, state_data, content_type, is_json, created_at)
        SELECT $1, $2::bigint, $3::bytea, $4::text, $5::boolean, clock_timestamp() FROM head WHERE head.version >= $2::bigint
        ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, state_data = excluded.state_data,
          content_type = excluded.content_type, is_json = excluded.is_json, created_at = excluded.created_at
          WHERE s.version <= excluded.version
        RETURNING xmax = 0 AS is_new, ${rfc3339('created_at')} AS created_at
      )
      SELECT head.version, saved.is_new, saved.created_at FROM head LEFT JOIN saved ON true`,
    values: [snapshot.streamId, snapshot.version, snapshot.data, snapshot.contentType, snapshot.isJson],
  }
}

/** One row: the stream's version or null, the snapshot's version or null, when it was stored, its three of data. */
export function snapshotStatement(schema: string, streamId: string): Statement {
  const tables = quoteIdentifier(schema)
  return {
    name: 'annals_snapshot',
    text: `SELECT head.version, s.version, ${rfc3339('s.created_at')}, s.state_data, s.content_type, s.is_json
      FROM (${headOf(tables)}) AS head LEFT JOIN ${tables}.snapshots AS s ON s.stream_id = $1`,
    values: [streamId],
  }
}

/** One row, or none: version and time of the snapshot. */
export function summaryStatement(schema: string, streamId: string): Statement {
  const tables = quoteIdentifier(schema)
  return {
    name: 'annals_snapshot_summary',
    text: `SELECT version, ${rfc3339('created_at')} FROM ${tables}.snapshots
      WHERE stream_id = $1 AND version <= (${headOf(tables)})`,
    values: [streamId],
  }
}

/** One row at least: as of `streamStatement`, then as of {@link snapshotStatement}; only the first one has the state. */
export function stateStatement(schema: string, { streamId, limit, maxBytes }: StateQuery): Statement {
  const tables = quoteIdentifier(schema)
  // The versions of an adopted stream may begin at 0.
  const isAfter = 'e.version > coalesce(s.version, -1)'
  return {
    name: 'annals_state',
    text: `SELECT head.version, p.at, p.line, s.version, ${rfc3339('s.created_at')},
        CASE WHEN p.at IS NOT DISTINCT FROM first.version THEN s.state_data END, s.content_type, s.is_json
      FROM (${headOf(tables)}) AS head
      LEFT JOIN ${tables}.snapshots AS s ON s.stream_id = $1 AND s.version <= head.version
      CROSS JOIN LATERAL (SELECT min(e.version) AS version FROM ${tables}.events AS e WHERE e.stream_id = $1 AND ${isAfter}) AS first
      LEFT JOIN LATERAL (${streamEvents(schema, ['e.stream_id = $1', isAfter], 'forward', '$2', '$3')}) AS p ON true`,
    values: [streamId, limit, maxBytes],
  }
}

/** Rows of {@link stateStatement}. */
export function statePage(streamId: string, rows: Row[], limit: number): StatePage {
  const [version, , , ...snapshot] = rows[0] as Row
  return { version: Number(version ?? 0), snapshot: storedSnapshot(streamId, snapshot), ...lines(rows, limit) }
}

/** From the columns version, created_at, state_data, content_type, is_json. */
export function storedSnapshot(streamId: string, columns: Row): StoredSnapshot | null {
  const [version, createdAt, data, contentType, isJson] = columns as unknown as SnapshotColumns
  if (version === null) return null
  // A plain writer replaces the data and knows nothing of the columns beside it, so they may tell of what was before.
  const isOther = isJson && !isText(data)
  return {
    streamId,
    version: Number(version),
    data,
    isJson: isJson && !isOther,
    contentType: isOther ? null : contentType,
    createdAt,
  }
}

type SnapshotColumns = [number | null, string, Buffer, string | null, boolean]

// Stored JSON is UTF-8 without zero bytes, which the binary formats of the usual writers are full of.
const isText = (data: Buffer): boolean => isUtf8(data) && !data.includes(0)
