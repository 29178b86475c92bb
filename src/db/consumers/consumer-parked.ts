// Events that a consumer set aside.

import { EVENT_JSON, quoteIdentifier, rfc3339 } from '../sql.ts'
import type { Row, Statement } from '../statement.ts'
import type { ParkedEvent } from './consumer-store.ts'

export interface ToPark {
  partition: number
  position: number
  attempts: number
}

/** Sets events aside, also those that were to be handed out again. */
export const parkStatement = (schema: string, name: string, events: ToPark[], reason: string | null): Statement => ({
  name: 'annals_consumer_park',
  text: `INSERT INTO ${quoteIdentifier(schema)}.annals_consumer_parked AS k (consumer, position, partition, attempts, reason)
    SELECT $1, * FROM unnest($2::bigint[], $3::int[], $4::int[]), (VALUES ($5::text)) AS r (reason)
    ON CONFLICT (consumer, position) DO UPDATE SET attempts = excluded.attempts, parked_at = excluded.parked_at,
      reason = coalesce(excluded.reason, k.reason), is_replaying = false`,
  values: [
    name,
    events.map(({ position }) => position),
    events.map(({ partition }) => partition),
    events.map(({ attempts }) => attempts),
    reason,
  ],
})

/** Those that were handed out again and are done with now are no longer set aside. */
export const unparkStatement = (schema: string, name: string, positions: number[]): Statement => ({
  name: 'annals_consumer_unpark',
  text: `DELETE FROM ${quoteIdentifier(schema)}.annals_consumer_parked WHERE consumer = $1 AND position = ANY($2::bigint[])`,
  values: [name, positions],
})

/** Marks the first ones to be handed out again. One row each. */
export function replayStatement(schema: string, name: string, limit: number): Statement {
  const parked = `${quoteIdentifier(schema)}.annals_consumer_parked`
  return {
    name: 'annals_consumer_replay',
    text: `UPDATE ${parked} AS k SET is_replaying = true, attempts = 0
      FROM (SELECT position FROM ${parked} WHERE consumer = $1 AND NOT is_replaying ORDER BY position LIMIT $2 FOR UPDATE) AS first
      WHERE k.consumer = $1 AND k.position = first.position RETURNING k.position`,
    values: [name, limit],
  }
}

/** Rows of {@link parkedEvent}, by position. */
export function parkedStatement(schema: string, name: string, after: number, limit: number): Statement {
  const tables = quoteIdentifier(schema)
  return {
    name: 'annals_consumer_parked',
    text: `SELECT k.position, k.attempts, k.reason, ${rfc3339('k.parked_at')}, k.is_replaying, ${EVENT_JSON}
      FROM ${tables}.annals_consumer_parked AS k JOIN ${tables}.events AS e ON e.position = k.position
      WHERE k.consumer = $1 AND k.position > $2::bigint ORDER BY k.position LIMIT $3`,
    values: [name, after, limit],
  }
}

/** Reads one row of {@link parkedStatement}. */
export const parkedEvent = ([position, attempts, reason, parkedAt, isReplaying, json]: Row): ParkedEvent => ({
  position: Number(position),
  attempts: Number(attempts),
  reason: reason as string | null,
  parked_at: parkedAt as string,
  replaying: isReplaying as unknown as boolean,
  json: json as string,
})
