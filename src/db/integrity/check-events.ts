// A piece of the feed, row by row. What is up to a head that was read before is committed and never changes, so one
// statement a piece is consistent however much is appended meanwhile.

import type { RunQuery } from '../run-query.ts'
import { quoteIdentifier } from '../sql.ts'
import type { IntegrityFinding, IntegrityRule } from './finding.ts'

/** Which piece: the first `limit` events within (after, upTo]; all of them without a limit. */
export interface EventRange {
  after: number
  upTo: number
  limit: number | null
}

export interface EventCheck {
  /** The smallest positions first; at most {@link FINDINGS_PER_PIECE}. */
  findings: IntegrityFinding[]
  events: number
  /** Everything up to this position has been looked at. */
  checkedTo: number
}

const FINDINGS_PER_PIECE = 20

/** @throws errors of `pg` */
export async function checkEvents(query: RunQuery, schema: string, range: EventRange): Promise<EventCheck> {
  const { rows } = await query(statement(schema), [range.after, range.upTo, range.limit, FINDINGS_PER_PIECE])
  const [summary, ...found] = rows as unknown as Row[]
  const events = Number(summary?.number ?? 0)
  const isEnd = range.limit === null || events < range.limit
  return {
    findings: found.map(finding),
    events,
    checkedTo: isEnd ? range.upTo : Number(summary?.position),
  }
}

interface Row {
  rule: IntegrityRule
  position: string | number
  stream_id: string | null
  version: string | number | null
  number: string | number | null
}

// Within a piece neighbours are compared; only the first event of each stream in it looks into the table for the one
// before. Conditions stand alone rather than in an OR, so that without an index they can become hash joins.
function statement(schema: string): string {
  const events = `${quoteIdentifier(schema)}.events`
  const part = (rule: IntegrityRule, number: string, from: string, where: string, alias = 'c') =>
    `(SELECT '${rule}', ${alias}.position, ${alias}.stream_id, ${alias}.version, ${number} FROM ${from} AS ${alias}
      WHERE ${where} ORDER BY ${alias}.position LIMIT $4)`
  return `WITH piece AS MATERIALIZED (
      SELECT position, stream_id, version, event_id FROM ${events}
      WHERE position > $1::bigint AND position <= $2::bigint ORDER BY position LIMIT $3::bigint
    ), by_position AS (
      SELECT position, stream_id, version, lag(position, 1, $1::bigint) OVER (ORDER BY position) AS before FROM piece
    ), by_stream AS (
      SELECT position, stream_id, version, lag(version) OVER of_stream AS before, lag(position) OVER of_stream AS before_position
      FROM piece WINDOW of_stream AS (PARTITION BY stream_id ORDER BY version, position)
    ), found (rule, position, stream_id, version, number) AS (
      ${[
        part('position_gap', 'c.before', 'by_position', 'c.position > c.before + 1'),
        part('position_twice', 'NULL::bigint', 'by_position', 'c.position = c.before'),
        part('version_twice', 'c.before_position', 'by_stream', 'c.before = c.version'),
        part(
          'version_twice',
          'NULL',
          'by_stream',
          `c.before IS NULL AND EXISTS (SELECT FROM ${events} AS e
            WHERE e.stream_id = c.stream_id AND e.version = c.version AND e.position <= $1)`,
        ),
        part(
          'version_gap',
          'NULL',
          'by_stream',
          `c.before IS DISTINCT FROM c.version
            AND (c.before = c.version - 1 AND c.before_position < c.position) IS NOT TRUE AND c.version <> 1
            AND NOT EXISTS (SELECT FROM ${events} AS e
              WHERE e.stream_id = c.stream_id AND e.version = c.version - 1 AND e.position < c.position)`,
        ),
        part('id_missing', 'NULL', 'piece', 'c.event_id IS NULL'),
        part(
          'id_twice',
          'NULL',
          'piece',
          `EXISTS (SELECT FROM ${events} AS e WHERE e.event_id = c.event_id AND e.position < c.position)`,
        ),
      ].join('\n      UNION ALL ')}
    )
    SELECT NULL AS rule, max(position) AS position, NULL AS stream_id, NULL::bigint AS version, count(*) AS number FROM piece
    UNION ALL (SELECT rule, position, stream_id, version, number FROM found ORDER BY position, rule LIMIT $4)`
}

function finding({ rule, position, stream_id: streamId, version, number }: Row): IntegrityFinding {
  const which = `version ${version} of ${streamId} at position ${position}`
  const details: Partial<Record<IntegrityRule, string>> = {
    position_gap: `positions ${Number(number) + 1} to ${Number(position) - 1} are missing`,
    position_twice: `the position ${position} is given twice, also to version ${version} of ${streamId}`,
    version_gap: `${which} does not come after the version before it`,
    version_twice: `${which} is there twice`,
    id_missing: `${which} has no id`,
    id_twice: `${which} has the id of an earlier event`,
  }
  return { rule, detail: details[rule] ?? which, position: Number(position), stream_id: streamId }
}
