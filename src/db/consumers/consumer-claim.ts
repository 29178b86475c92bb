// The statements of a claim: who asks and whether there is anything, and which events there are.

import { type FilterJson, filterOf } from '../../consumers/consumer-filter.ts'
import type { EventLine, FeedFilter } from '../event-log.ts'
import { addFilter } from '../read/feed-filter.ts'
import { EVENT_JSON, quoteIdentifier } from '../sql.ts'
import type { Row, Statement } from '../statement.ts'
import { isReplaying, partitionOf } from './consumer-partitions.ts'

/** What a claim needs to know before it locks anything. */
export interface Situation {
  filter: FeedFilter
  partitions: number
  leaseSeconds: number
  maxAttempts: number
  isPaused: boolean
  head: number
  checkpoint: number
  /** Members that claimed within the last lease time, this one among them. */
  members: number
  /** There is something that nobody works on, or this member itself. */
  hasFreeWork: boolean
  hasWork: boolean
}

/** Notes that the member was here. One row of {@link situation}, or none without the consumer. */
export function situationStatement(schema: string, name: string, member: string): Statement {
  const tables = quoteIdentifier(schema)
  return {
    name: 'annals_consumer_situation',
    // Written at most four times in a lease time, because members that wait ask often.
    text: `WITH seen AS (
        INSERT INTO ${tables}.annals_consumer_members AS m (consumer, member, seen_at)
        SELECT name, $2, clock_timestamp() FROM ${tables}.annals_consumers WHERE name = $1
        ON CONFLICT (consumer, member) DO UPDATE SET seen_at = excluded.seen_at
          WHERE m.seen_at < clock_timestamp() - (
            SELECT make_interval(secs => lease_seconds / 4.0) FROM ${tables}.annals_consumers WHERE name = $1)
      ), gone AS (
        DELETE FROM ${tables}.annals_consumer_members AS m USING ${tables}.annals_consumers AS c
        WHERE m.consumer = $1 AND c.name = $1 AND m.member <> $2
          AND m.seen_at < clock_timestamp() - make_interval(secs => 10 * greatest(c.lease_seconds, 60))
      )
      SELECT c.filter, c.partitions, c.lease_seconds, c.max_attempts, c.is_paused, h.position, w.checkpoint,
        1 + (
          SELECT count(*) FROM ${tables}.annals_consumer_members AS m
          WHERE m.consumer = $1 AND m.member <> $2
            AND m.seen_at > clock_timestamp() - make_interval(secs => c.lease_seconds)
        ), w.is_free, w.is_any
      FROM ${tables}.annals_consumers AS c CROSS JOIN ${tables}.annals_head AS h
      CROSS JOIN LATERAL (
        SELECT min(p.checkpoint) AS checkpoint, bool_or(p.has_work) AS is_any,
          bool_or(p.has_work AND (p.free_at IS NULL OR p.free_at <= clock_timestamp() OR p.member = $2)) AS is_free
        FROM (
          SELECT p.checkpoint, p.free_at, p.member, p.checkpoint < h.position OR ${isReplaying(tables, 'p')} AS has_work
          FROM ${tables}.annals_consumer_partitions AS p WHERE p.consumer = $1
        ) AS p
      ) AS w
      WHERE c.name = $1`,
    values: [name, member],
  }
}

/** Reads the row of {@link situationStatement}. */
export function situation(row: Row): Situation {
  const [filter, partitions, leaseSeconds, maxAttempts, isPaused, head, checkpoint, members, isFree, isAny] = row
  return {
    filter: filterOf(JSON.parse(filter as string) as FilterJson),
    partitions: Number(partitions),
    leaseSeconds: Number(leaseSeconds),
    maxAttempts: Number(maxAttempts),
    isPaused: isPaused as unknown as boolean,
    head: Number(head),
    checkpoint: Number(checkpoint),
    members: Number(members),
    hasFreeWork: Boolean(isFree),
    hasWork: Boolean(isAny),
  }
}

export interface PartitionRead {
  name: string
  filter: FeedFilter
  /** Of the consumer. */
  partitions: number
  /** Those that are read, each after its checkpoint. */
  from: { partition: number; checkpoint: number }[]
  /** Inclusive. */
  upTo: number
  limit: number
  maxBytes: number
}

/**
 * The next events of some partitions by position, and with them those that were parked and are to be handed out again.
 * Rows of {@link partitionEvents}.
 */
export function partitionEventsStatement(schema: string, read: PartitionRead): Statement {
  const tables = quoteIdentifier(schema)
  // By partition; null for those that are not read.
  const after = new Array<number | null>(read.partitions).fill(null)
  for (const { partition, checkpoint } of read.from) after[partition] = checkpoint
  const values: unknown[] = [
    read.name,
    read.partitions,
    after,
    Math.min(...read.from.map(({ checkpoint }) => checkpoint)),
    read.upTo,
    read.limit,
    read.maxBytes,
  ]
  const conditions: string[] = []
  addFilter(read.filter, (condition, value) => conditions.push(condition.replace('?', `$${values.push(value)}`)))
  const partition = partitionOf('e.stream_id', '$2::int')
  const size = 'octet_length(e.event_data) + coalesce(pg_column_size(e.metadata), 0)'
  // Without a join, so that the index on position gives the order and the scan ends with the limit; with joins to the
  // partitions and to what is parked each claim looked at its whole window.
  const text = `SELECT e.position, e.partition, CASE WHEN e.bytes_before < $7::bigint THEN ${EVENT_JSON} END
    FROM (
      SELECT e.*, sum(${size}) OVER (ORDER BY e.position ROWS UNBOUNDED PRECEDING) - (${size}) AS bytes_before
      FROM (
        (
          SELECT e.*, ${partition} AS partition FROM ${tables}.events AS e
          WHERE e.position > $4::bigint AND e.position <= $5::bigint
            ${conditions.map((condition) => `AND ${condition}`).join(' ')}
            AND e.position > ($3::bigint[])[${partition} + 1]
            AND (
              SELECT true FROM ${tables}.annals_consumer_parked AS k WHERE k.consumer = $1 AND k.position = e.position
            ) IS NULL
          ORDER BY e.position LIMIT $6
        ) UNION ALL (
          SELECT e.*, k.partition FROM ${tables}.annals_consumer_parked AS k
          JOIN ${tables}.events AS e ON e.position = k.position
          WHERE k.consumer = $1 AND k.is_replaying AND ($3::bigint[])[k.partition + 1] IS NOT NULL
            AND k.position <= $5::bigint
          ORDER BY k.position LIMIT $6
        )
      ) AS e ORDER BY e.position LIMIT $6
    ) AS e ORDER BY e.position`
  return conditions.length > 0 ? { text, values } : { name: 'annals_consumer_events', text, values }
}

export interface FoundEvent extends EventLine {
  partition: number
}

/** The events that fit into the page; `isFull` when more may follow. */
export function partitionEvents(rows: Row[], limit: number): { found: FoundEvent[]; isFull: boolean } {
  const found: FoundEvent[] = []
  for (const [at, partition, json] of rows) {
    if (json !== null) found.push({ at: Number(at), partition: Number(partition), json: json as string })
  }
  return { found, isFull: rows.length === limit || found.length < rows.length }
}
