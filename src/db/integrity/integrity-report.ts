// The same checks for who asks over HTTP: a bounded piece at a time, over the pool and within its time-outs.

import type { MeasuredPool } from '../connections/pool.ts'
import { translatePgError } from '../pg-errors.ts'
import { checkEvents } from './check-events.ts'
import { checkSchema } from './check-schema.ts'
import { checkSnapshots } from './check-snapshots.ts'
import type { IntegrityFinding } from './finding.ts'

export interface IntegrityQuery {
  /** Events after this position. */
  after?: number
  /** Snapshots of streams after this one, when the events are done with; the empty text for all. */
  snapshotsAfter?: string
  /** Events or snapshots of this piece. */
  limit: number
}

/** What comes after this piece; null when this was the last one. */
export type IntegrityNext = Pick<IntegrityQuery, 'after' | 'snapshotsAfter'> | null

export interface IntegrityPiece {
  findings: IntegrityFinding[]
  events: number
  snapshots: number
  /** Every event up to this position has been looked at; null in a piece of snapshots. */
  checkedTo: number | null
  head: number
  /** Whether the rows were looked at: without their indexes that would take too long for a request. */
  isIndexed: boolean
  next: IntegrityNext
}

export class IntegrityReport {
  readonly #pool: MeasuredPool
  readonly #schema: string

  constructor({ pool, schema }: { pool: MeasuredPool; schema: string }) {
    this.#pool = pool
    this.#schema = schema
  }

  /** Looks at the schema and at one piece of rows. @throws AppError */
  async check({ after = 0, snapshotsAfter, limit }: IntegrityQuery): Promise<IntegrityPiece> {
    const query = (text: string, values?: unknown[]) => this.#pool.query(text, values)
    try {
      const { findings, last, isIndexed } = await checkSchema(query, this.#schema)
      const none = { findings, events: 0, snapshots: 0, checkedTo: null, head: last, isIndexed, next: null }
      if (!isIndexed) return none
      if (snapshotsAfter !== undefined) {
        const cursor = snapshotsAfter === '' ? null : snapshotsAfter
        const checked = await checkSnapshots(query, this.#schema, cursor, limit)
        const next = checked.next === null ? null : { snapshotsAfter: checked.next }
        return { ...none, findings: [...findings, ...checked.findings], snapshots: checked.snapshots, next }
      }
      const checked = await checkEvents(query, this.#schema, { after, upTo: Math.max(last, after), limit })
      const next = checked.checkedTo < last ? { after: checked.checkedTo } : { snapshotsAfter: '' }
      const { events, checkedTo } = checked
      return { ...none, findings: [...findings, ...checked.findings], events, checkedTo, next }
    } catch (error) {
      throw translatePgError(error)
    }
  }
}
