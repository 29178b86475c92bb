// Whether what keeps a store sound is in place: constraints, indexes, triggers, the head.

import { MIGRATIONS_FOLDER } from '../migrations/migration-files.ts'
import { compareSchemas, describeSchema, readExpectedSchema } from '../migrations/schema-description.ts'
import type { RunQuery } from '../run-query.ts'
import { quoteIdentifier } from '../sql.ts'
import type { IntegrityFinding } from './finding.ts'

/** What was found, and what the checks of the rows need to know. */
export interface SchemaCheck {
  findings: IntegrityFinding[]
  /** Last position that is stored, or that the head names; every event up to here is committed. */
  last: number
  /** Whether the events can be looked at a piece at a time; without their indexes each piece would cost as much as all. */
  isIndexed: boolean
  /** False where nothing of a store is there. */
  isStore: boolean
  /** Whether snapshots can be looked at. */
  hasSnapshots: boolean
}

const NEEDED = [
  'index idx_events_position',
  'index idx_events_event_id',
  'constraint events PRIMARY KEY (stream_id, version)',
]
const SHOWN = 10

/** Looks at everything that does not grow with the number of events. @throws errors of `pg` */
export async function checkSchema(query: RunQuery, schema: string): Promise<SchemaCheck> {
  const found = await describeSchema(query, schema)
  const differences = compareSchemas(readExpectedSchema(MIGRATIONS_FOLDER), found)
  const findings = differences.map(
    ({ object, problem, found: actual }): IntegrityFinding => ({
      rule: problem === 'missing' ? 'object_missing' : 'object_different',
      detail: problem === 'missing' ? `${object} is missing` : `${object} is: ${actual}`,
      position: null,
      stream_id: null,
    }),
  )
  const isThere = (object: string) => found[object] !== undefined
  const isStore = ['table events', 'table annals_head', 'table annals_migrations'].some(isThere)
  const hasSnapshots = isThere('table events') && isThere('table snapshots')
  if (!isThere('table events') || !isThere('column events.position') || !isThere('table annals_head')) {
    return { findings, last: 0, isIndexed: false, isStore, hasSnapshots }
  }
  const head = await checkHead(query, schema)
  return {
    findings: [
      ...findings,
      ...head.findings,
      ...(await checkUnnumbered(query, schema)),
      ...(isThere('table annals_consumer_partitions') ? await checkConsumers(query, schema) : []),
    ],
    last: head.last,
    isIndexed: NEEDED.every((object) => !differences.some((difference) => difference.object === object)),
    isStore,
    hasSnapshots,
  }
}

async function checkHead(query: RunQuery, schema: string): Promise<{ findings: IntegrityFinding[]; last: number }> {
  const tables = quoteIdentifier(schema)
  // One statement, so head and events are of one moment.
  const { rows } = await query(
    `SELECT count(*) AS heads, max(position) AS head, (SELECT max(position) FROM ${tables}.events) AS last FROM ${tables}.annals_head`,
  )
  const { heads, head: told, last } = rows[0] as Record<'heads' | 'head' | 'last', string | number | null>
  const stored = Number(last ?? 0)
  const wrong = (detail: string): IntegrityFinding[] => [
    { rule: 'head_wrong', detail, position: stored, stream_id: null },
  ]
  if (Number(heads) !== 1) return { findings: wrong(`annals_head has ${heads} rows`), last: stored }
  const head = Number(told)
  return head === stored
    ? { findings: [], last: stored }
    : { findings: wrong(`the head is ${head}, and the last position is ${stored}`), last: stored }
}

async function checkUnnumbered(query: RunQuery, schema: string): Promise<IntegrityFinding[]> {
  const events = `${quoteIdentifier(schema)}.events`
  const { rows } = await query(
    `(SELECT position, stream_id, version FROM ${events} WHERE position IS NULL LIMIT ${SHOWN})
     UNION ALL (SELECT position, stream_id, version FROM ${events} WHERE position < 1 ORDER BY position LIMIT ${SHOWN})`,
  )
  return rows.map(({ position, stream_id: streamId, version }) => ({
    rule: 'position_missing',
    detail: `version ${version} of ${streamId} has the position ${position ?? 'null'}`,
    position: position === null ? null : Number(position),
    stream_id: streamId as string,
  }))
}

async function checkConsumers(query: RunQuery, schema: string): Promise<IntegrityFinding[]> {
  const tables = quoteIdentifier(schema)
  const { rows } = await query(
    `SELECT p.consumer, max(p.checkpoint) AS checkpoint, h.position AS head
     FROM ${tables}.annals_consumer_partitions AS p CROSS JOIN ${tables}.annals_head AS h
     WHERE p.checkpoint > h.position GROUP BY p.consumer, h.position ORDER BY p.consumer LIMIT ${SHOWN}`,
  )
  return rows.map(({ consumer, checkpoint, head }) => ({
    rule: 'consumer_ahead',
    detail: `the consumer ${consumer} is at ${checkpoint}, and the head is ${head}`,
    position: Number(checkpoint),
    stream_id: null,
  }))
}
