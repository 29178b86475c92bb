// Where consumers stand, as one statement for one of them or all.

import { type FilterJson, filterOf } from '../../consumers/consumer-filter.ts'
import { quoteIdentifier, rfc3339 } from '../sql.ts'
import type { Row, Statement } from '../statement.ts'
import type { ConsumerMember, ConsumerStanding } from './consumer-store.ts'

/** Rows of {@link consumerStanding} by name; of all consumers when `name` is absent. */
export function standingStatement(schema: string, name?: string): Statement {
  const tables = quoteIdentifier(schema)
  return {
    name: `annals_consumer${name === undefined ? 's' : ''}`,
    text: `SELECT c.name, c.filter, c.start, c.partitions, c.lease_seconds, c.max_attempts, c.is_paused,
        ${rfc3339('c.created_at')}, h.position, p.checkpoint, p.in_flight, k.parked, k.replaying, m.members,
        coalesce((
          SELECT greatest(extract(epoch FROM clock_timestamp() - e.created_at), 0)::float8
          FROM ${tables}.events AS e WHERE e.position > p.checkpoint ORDER BY e.position LIMIT 1
        ), 0)
      FROM ${tables}.annals_consumers AS c CROSS JOIN ${tables}.annals_head AS h
      CROSS JOIN LATERAL (
        SELECT min(checkpoint) AS checkpoint,
          coalesce(sum(in_flight) FILTER (WHERE token IS NOT NULL AND free_at > clock_timestamp()), 0) AS in_flight
        FROM ${tables}.annals_consumer_partitions WHERE consumer = c.name
      ) AS p
      CROSS JOIN LATERAL (
        SELECT count(*) AS parked, count(*) FILTER (WHERE is_replaying) AS replaying
        FROM ${tables}.annals_consumer_parked WHERE consumer = c.name
      ) AS k
      CROSS JOIN LATERAL (
        SELECT coalesce(json_agg(json_build_object(
            'member', s.member, 'seen_at', ${rfc3339('s.seen_at')}, 'partitions', coalesce(l.partitions, '[]'),
            'in_flight', coalesce(l.in_flight, 0), 'lease_until', ${rfc3339('l.until')}
          ) ORDER BY s.member), '[]') AS members
        FROM ${tables}.annals_consumer_members AS s
        CROSS JOIN LATERAL (
          SELECT json_agg(partition ORDER BY partition) AS partitions, sum(in_flight) AS in_flight, max(free_at) AS until
          FROM ${tables}.annals_consumer_partitions
          WHERE consumer = c.name AND member = s.member AND free_at > clock_timestamp()
        ) AS l
        WHERE s.consumer = c.name
      ) AS m
      ${name === undefined ? '' : 'WHERE c.name = $1'} ORDER BY c.name`,
    values: name === undefined ? [] : [name],
  }
}

/** Reads one row of {@link standingStatement}; the lag is in seconds, 0 at the head. */
export function consumerStanding(row: Row): ConsumerStanding {
  const [name, filter, start, partitions, leaseSeconds, maxAttempts, isPaused, createdAt, ...rest] = row
  const [head, checkpoint, inFlight, parked, replaying, members, lagSeconds] = rest
  return {
    name: name as string,
    filter: filterOf(JSON.parse(filter as string) as FilterJson),
    start: start === 'head' ? 'head' : Number(start),
    partitions: Number(partitions),
    leaseSeconds: Number(leaseSeconds),
    maxAttempts: Number(maxAttempts),
    isPaused: isPaused as unknown as boolean,
    checkpoint: Number(checkpoint),
    head: Number(head),
    lagSeconds: Number(lagSeconds),
    inFlight: Number(inFlight),
    parked: Number(parked),
    replaying: Number(replaying),
    members: JSON.parse(members as string) as ConsumerMember[],
    createdAt: createdAt as string,
  }
}
