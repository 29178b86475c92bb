// Snapshots on PostgreSQL. One statement decides and writes, so nothing can come between.

import type { Compilable, Kysely } from 'kysely'
import type { QueryArrayResult } from 'pg'
import { AppError } from '../../errors.ts'
import type { MeasuredPool } from '../connections/pool.ts'
import { isSurelyNotApplied, translatePgError } from '../pg-errors.ts'
import type { Row, Statement } from '../statement.ts'
import type { Tables } from '../tables.ts'
import { coveragePage, coverageStatement, coverageSums, coverageSumsStatement } from './snapshot-coverage.ts'
import {
  saveStatement,
  snapshotStatement,
  statePage,
  stateStatement,
  storedSnapshot,
  summaryStatement,
} from './snapshot-statements.ts'
import type {
  CoveragePage,
  CoverageQuery,
  CoverageSums,
  PreparedSnapshot,
  SaveOutcome,
  SnapshotStore,
  SnapshotSummary,
  StatePage,
  StateQuery,
  StoredSnapshot,
} from './snapshot-store.ts'

export interface SnapshotsOptions {
  pool: MeasuredPool
  schema: string
}

// Each further try needs somebody else who deletes or restores snapshots of the same stream at the same moment.
const MAX_TRIES = 5

export class PostgresSnapshots implements SnapshotStore {
  readonly #pool: MeasuredPool
  readonly #schema: string
  #db: Promise<Kysely<Tables>> | undefined

  constructor({ pool, schema }: SnapshotsOptions) {
    this.#pool = pool
    this.#schema = schema
  }

  async save(snapshot: PreparedSnapshot): Promise<SaveOutcome> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const { rows } = await this.#write(saveStatement(this.#schema, snapshot))
      const [version, isNew, createdAt] = rows[0] as [number | null, boolean | null, string]
      if (version === null) return { kind: 'stream_not_found' }
      if (isNew !== null) return { kind: 'saved', isNew, snapshot: { ...snapshot, createdAt } }
      if (version < snapshot.version) return { kind: 'ahead', streamVersion: version }
      const storedVersion = await this.#newerThan(snapshot)
      if (storedVersion !== undefined) return { kind: 'older', storedVersion }
    }
    throw new AppError('busy', 'The snapshots of the stream keep changing.')
  }

  async read(streamId: string): Promise<{ version: number; snapshot: StoredSnapshot | null }> {
    const { version, snapshot } = await this.#stored(streamId)
    return { version, snapshot: snapshot !== null && snapshot.version <= version ? snapshot : null }
  }

  async readSummary(streamId: string): Promise<SnapshotSummary | null> {
    const [row] = (await this.#read(summaryStatement(this.#schema, streamId))).rows as Row[]
    return row === undefined ? null : { version: Number(row[0]), created_at: row[1] as string }
  }

  async readState(query: StateQuery): Promise<StatePage> {
    const { rows } = await this.#read(stateStatement(this.#schema, query))
    return statePage(query.streamId, rows as Row[], query.limit)
  }

  async delete(streamId: string): Promise<boolean> {
    const db = await this.#database()
    const events = db.selectFrom('events').select('stream_id').where('stream_id', '=', streamId).limit(1)
    const snapshot = db.deleteFrom('snapshots').where('stream_id', '=', streamId)
    // Looked for first, as a stream that exists never goes: after the deletion nothing may fail any more.
    if ((await this.#read(statementOf(events))).rows.length === 0) return false
    await this.#write(statementOf(snapshot))
    return true
  }

  async listBehind(query: CoverageQuery): Promise<CoveragePage> {
    return coveragePage((await this.#read(coverageStatement(this.#schema, query))).rows as Row[], query)
  }

  /** The next `streams` of them in figures. */
  async sumCoverage({
    streams,
    ...page
  }: {
    moreThan: number
    after?: string
    streams: number
  }): Promise<CoverageSums> {
    const query = { ...page, limit: streams, maxChecked: streams }
    return coverageSums((await this.#read(coverageSumsStatement(this.#schema, query))).rows as Row[], query)
  }

  async #stored(streamId: string): Promise<{ version: number; snapshot: StoredSnapshot | null }> {
    const [row] = (await this.#read(snapshotStatement(this.#schema, streamId))).rows as [Row]
    return { version: Number(row[0] ?? 0), snapshot: storedSnapshot(streamId, row.slice(1)) }
  }

  /**
   * The version of the stored snapshot that is newer, if so. One that is ahead of the stream is of events that are
   * gone: it is removed. Undefined also when it was removed by somebody else; then saving can be tried again.
   */
  async #newerThan({ streamId, version }: PreparedSnapshot): Promise<number | undefined> {
    const { version: head, snapshot: stored } = await this.#stored(streamId)
    if (stored === null || stored.version <= version) return undefined
    if (stored.version <= head) return stored.version
    // Only the one that was seen: another may be right by now, and a row that was waited for is not compared afresh.
    const db = await this.#database()
    await this.#write(
      statementOf(
        db
          .deleteFrom('snapshots')
          .where('stream_id', '=', streamId)
          .where('version', '=', stored.version)
          .where('version', '>', ({ selectFrom }) =>
            selectFrom('events')
              .select(({ fn }) => fn.max('version').as('version'))
              .where('stream_id', '=', streamId),
          ),
      ),
    )
    return undefined
  }

  // Loaded when it is needed first: the query builder takes a tenth of a second, which the start of the service saves.
  #database(): Promise<Kysely<Tables>> {
    this.#db ??= import('../database.ts').then(({ openDatabase }) => openDatabase(this.#pool, this.#schema))
    return this.#db
  }

  async #read(statement: Statement): Promise<QueryArrayResult<unknown[]>> {
    try {
      return await this.#query(statement)
    } catch (error) {
      throw translatePgError(error)
    }
  }

  // A write that got no answer is sent again: whether the first one was applied or not, it does no harm.
  async #write(statement: Statement): Promise<QueryArrayResult<unknown[]>> {
    try {
      return await this.#query(statement)
    } catch (error) {
      if (isSurelyNotApplied(error)) throw translatePgError(error)
    }
    try {
      return await this.#query(statement)
    } catch (cause) {
      throw new AppError('commit_outcome_unknown', 'The database did not say whether the snapshot was changed.', {
        cause,
      })
    }
  }

  #query({ name, text, values }: Statement): Promise<QueryArrayResult<unknown[]>> {
    // Prepared statements belong to a session, which a pooler in transaction mode does not keep.
    const prepared = name === undefined || this.#pool.isPooled ? {} : { name }
    return this.#pool.query({ ...prepared, text, values, rowMode: 'array' })
  }
}

// Run by the pool's own `query`, which sends again what the server surely did not take up.
function statementOf(query: Compilable): Statement {
  const { sql, parameters } = query.compile()
  return { text: sql, values: [...parameters] }
}
