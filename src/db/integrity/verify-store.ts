// The whole store, piece by piece.

import { MigrationError } from '../migrations/migration-error.ts'
import type { RunQuery } from '../run-query.ts'
import { checkEvents } from './check-events.ts'
import { checkSchema } from './check-schema.ts'
import { checkSnapshots } from './check-snapshots.ts'
import type { IntegrityFinding } from './finding.ts'

export interface VerifyProgress {
  findings: IntegrityFinding[]
  /** Events looked at up to now. */
  events: number
  snapshots: number
  /** Everything up to this position has been looked at. */
  position: number
  /** Where the events end: those that are appended meanwhile are not looked at. */
  last: number
}

const PIECE_EVENTS = 50_000
const PIECE_SNAPSHOTS = 1_000

/**
 * Gives what was found in each piece, the schema first. `after`: events up to this position are taken as checked.
 * @throws MigrationError `refused` when there is no store
 */
export async function* verifyStore(
  query: RunQuery,
  schema: string,
  after: number,
): AsyncGenerator<VerifyProgress, void, undefined> {
  const { findings, last, isIndexed, isStore, hasSnapshots } = await checkSchema(query, schema)
  if (!isStore) {
    throw new MigrationError('refused', `the schema ${schema} has no store: run \`annals migrate up\` first`)
  }
  const progress = { events: 0, snapshots: 0, position: after, last }
  yield { ...progress, findings }
  while (progress.position < last) {
    const range = { after: progress.position, upTo: last, limit: isIndexed ? PIECE_EVENTS : null }
    const { findings, events, checkedTo } = await checkEvents(query, schema, range)
    progress.events += events
    progress.position = checkedTo
    yield { ...progress, findings }
  }
  for (let cursor: string | null = null, isLast = !hasSnapshots; !isLast; ) {
    const { findings, snapshots, next } = await checkSnapshots(query, schema, cursor, PIECE_SNAPSHOTS)
    progress.snapshots += snapshots
    cursor = next
    isLast = next === null
    yield { ...progress, findings }
  }
}
