// The partitions of a consumer as rows: locked, read, written back. What changes in between is in src/consumers.

import type { HandedOut, PartitionState } from '../../consumers/partition-state.ts'
import { quoteIdentifier, rfc3339 } from '../sql.ts'
import type { Row, Statement } from '../statement.ts'

/**
 * The partition of a stream: the first four bytes of the SHA-256 of its id in UTF-8, as a number without sign, modulo
 * the number of partitions. It must never change: the order within a stream hangs on it.
 */
export const partitionOf = (streamId: string, partitions: string): string =>
  `(('x' || encode(substring(sha256(convert_to(${streamId}, 'UTF8')) FROM 1 FOR 4), 'hex'))::bit(32)::bigint % ${partitions})::int`

const COLUMNS = 'p.partition, p.checkpoint, p.in_flight, p.reaches, to_json(p.positions), to_json(p.attempts)'

/** A row in the order of {@link COLUMNS}. */
export function partitionState([partition, checkpoint, inFlight, reaches, positions, attempts]: Row): PartitionState {
  const counts = JSON.parse(attempts as string) as number[]
  const handedOut: HandedOut[] = (JSON.parse(positions as string) as number[]).map((position, i) => ({
    position,
    attempts: counts[i] as number,
  }))
  return {
    partition: Number(partition),
    checkpoint: Number(checkpoint),
    handedOut,
    inFlight: Number(inFlight),
    reaches: Number(reaches),
  }
}

/** All partitions, locked. Rows: [partition, whether a member works on it]. */
export const lockAllStatement = (schema: string, name: string): Statement => ({
  name: 'annals_consumer_lock',
  text: `SELECT p.partition, p.token IS NOT NULL AND p.free_at > clock_timestamp()
    FROM ${quoteIdentifier(schema)}.annals_consumer_partitions AS p WHERE p.consumer = $1 ORDER BY p.partition FOR UPDATE`,
  values: [name],
})

/** The partitions of a lease, locked. Rows of {@link partitionState}, and then lease_seconds and max_attempts. */
export function lockLeaseStatement(schema: string, name: string, token: string): Statement {
  const tables = quoteIdentifier(schema)
  return {
    name: 'annals_consumer_lock_lease',
    text: `SELECT ${COLUMNS}, c.lease_seconds, c.max_attempts
      FROM ${tables}.annals_consumer_partitions AS p JOIN ${tables}.annals_consumers AS c ON c.name = p.consumer
      WHERE p.consumer = $1 AND p.token = $2::uuid ORDER BY p.partition FOR UPDATE OF p`,
    values: [name, token],
  }
}

/** What the member has from an earlier claim comes back. */
export const giveBackStatement = (schema: string, name: string, member: string): Statement => ({
  name: 'annals_consumer_give_back',
  text: `UPDATE ${quoteIdentifier(schema)}.annals_consumer_partitions
    SET member = NULL, token = NULL, free_at = NULL, in_flight = 0 WHERE consumer = $1 AND member = $2`,
  values: [name, member],
})

/**
 * Partitions that nobody works on and that have something to do, those that waited longest first, locked. Whoever
 * claims at the same time passes over them. Rows of {@link partitionState}.
 */
export function lockFreeStatement(schema: string, name: string, head: number, limit: number): Statement {
  const tables = quoteIdentifier(schema)
  return {
    name: 'annals_consumer_lock_free',
    text: `SELECT ${COLUMNS} FROM ${tables}.annals_consumer_partitions AS p
      WHERE p.consumer = $1 AND (p.free_at IS NULL OR p.free_at <= clock_timestamp())
        AND (p.checkpoint < $2::bigint OR ${isReplaying(tables, 'p')})
      ORDER BY p.served_at NULLS FIRST, p.partition LIMIT $3 FOR UPDATE SKIP LOCKED`,
    values: [name, head, limit],
  }
}

/** Whether a partition has parked events that are to be handed out again. */
export const isReplaying = (tables: string, partition: string): string => `EXISTS (
  SELECT FROM ${tables}.annals_consumer_parked AS k
  WHERE k.consumer = ${partition}.consumer AND k.partition = ${partition}.partition AND k.is_replaying)`

/** Who has what is in flight; without, nobody does. */
export interface Holder {
  member: string | null
  token: string
  leaseSeconds: number
}

export interface SaveOptions {
  /** For partitions with events in flight. */
  holder?: Holder
  /** The lease that those without events in flight belonged to. */
  doneToken?: string
  /** Those without events in flight are handed out again after this many seconds. */
  delaySeconds?: number
  /** They had their turn. */
  isServed?: boolean
}

/**
 * Writes partitions back that are locked. `holder.member` null keeps the member. Rows: [partition, when its lease ends
 * or null].
 */
export function saveStatement(schema: string, name: string, states: PartitionState[], options: SaveOptions): Statement {
  const { holder, doneToken = null, delaySeconds = 0, isServed = false } = options
  const records = states.map(({ partition, checkpoint, handedOut, inFlight, reaches }) => ({
    partition,
    checkpoint,
    positions: handedOut.map(({ position }) => position),
    attempts: handedOut.map(({ attempts }) => attempts),
    in_flight: inFlight,
    reaches,
  }))
  return {
    name: 'annals_consumer_save',
    text: `UPDATE ${quoteIdentifier(schema)}.annals_consumer_partitions AS p
      SET checkpoint = s.checkpoint, positions = s.positions, attempts = s.attempts, in_flight = s.in_flight, reaches = s.reaches,
        member = CASE WHEN s.in_flight > 0 THEN coalesce($3::text, p.member) END,
        token = CASE WHEN s.in_flight > 0 THEN $4::uuid END,
        done_token = CASE WHEN s.in_flight > 0 THEN p.done_token ELSE coalesce($5::uuid, p.done_token) END,
        free_at = CASE WHEN s.in_flight > 0 THEN clock_timestamp() + make_interval(secs => $6)
          WHEN $7::float8 > 0 THEN clock_timestamp() + make_interval(secs => $7) END,
        served_at = CASE WHEN $8 THEN clock_timestamp() ELSE p.served_at END
      FROM json_to_recordset($2::json)
        AS s (partition int, checkpoint bigint, positions bigint[], attempts int[], in_flight int, reaches bigint)
      WHERE p.consumer = $1 AND p.partition = s.partition
      RETURNING p.partition, CASE WHEN p.in_flight > 0 THEN ${rfc3339('p.free_at')} END`,
    values: [
      name,
      JSON.stringify(records),
      holder?.member ?? null,
      holder?.token ?? null,
      doneToken,
      holder?.leaseSeconds ?? 0,
      delaySeconds,
      isServed,
    ],
  }
}

/** One row: [checkpoint of the consumer]. */
export const checkpointStatement = (schema: string, name: string): Statement => ({
  name: 'annals_consumer_checkpoint',
  text: `SELECT min(checkpoint) FROM ${quoteIdentifier(schema)}.annals_consumer_partitions WHERE consumer = $1`,
  values: [name],
})
