// Which history of the store this is. It changes when positions may mean other events than before: after a restore
// (the store's own epoch is renewed) and on another timeline of the server (a standby was promoted).

import type { QueryResult } from 'pg'
import { translatePgError } from './pg-errors.ts'
import { quoteIdentifier } from './sql.ts'

// Of a primary the timeline is that of what it writes: the control file lags behind after a promotion. A standby writes
// nothing, and says which timeline it has replayed.
const TIMELINE = `CASE WHEN pg_is_in_recovery() THEN upper(to_hex((SELECT timeline_id FROM pg_control_checkpoint())))
  ELSE substring(pg_walfile_name(pg_current_wal_lsn()) FOR 8) END`

/** Columns of a row of `annals_head`. */
export const EPOCH_COLUMNS = `epoch::text || '.' || ltrim(${TIMELINE}, '0') AS epoch, pg_is_in_recovery() AS is_standby`

/** One row of {@link EPOCH_COLUMNS} of the store in this schema; fails where its migrations did not run. */
export const epochStatement = (schema: string): string =>
  `SELECT ${EPOCH_COLUMNS} FROM ${quoteIdentifier(schema)}.annals_head`

/** A client of `pg`, as far as it is needed here. */
interface Asked {
  query(text: string, callback: (error: Error | null, result: QueryResult) => void): void
}

// Before the migrations there is no head, and one of somebody else may look different.
const NO_HEAD = new Set(['42P01', '3F000', '42703'])

/**
 * What is known of the epoch. Every new connection is asked before it is used, and the health check once a second, so
 * a request only looks here.
 */
export class StoreEpoch {
  readonly #ask: () => Promise<QueryResult['rows']>
  readonly #listeners: (() => void)[] = []
  #current: string | undefined
  #isStandby = false

  /** `ask` runs {@link epochStatement}. */
  constructor(ask: () => Promise<QueryResult['rows']>) {
    this.#ask = ask
  }

  /** Undefined before the first answer of the database. */
  get current(): string | undefined {
    return this.#current
  }

  /** A standby is promoted without closing connections: what is known of one may be a second old. */
  get isStandby(): boolean {
    return this.#isStandby
  }

  /** Asks the database now. @throws AppError */
  async confirm(): Promise<void> {
    try {
      const [row] = await this.#ask()
      this.learn(row)
    } catch (error) {
      throw translatePgError(error)
    }
  }

  /** Calls back when what was known is no longer true; not for the first. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Row of {@link EPOCH_COLUMNS}. */
  learn(row: Record<string, unknown> | undefined): void {
    const { epoch, is_standby: isStandby } = row ?? {}
    if (typeof epoch !== 'string') return
    const isChange = this.#current !== undefined && this.#current !== epoch
    this.#current = epoch
    this.#isStandby = isStandby === true
    if (isChange) for (const listener of this.#listeners) listener()
  }

  /** Asks a connection that was just opened; calls back with what makes it useless, or null. */
  introduce(client: Asked, schema: string, done: (error: Error | null) => void): void {
    client.query(epochStatement(schema), (error, result) => {
      if (error === null) this.learn(result.rows[0])
      done(error === null || NO_HEAD.has((error as { code?: string }).code ?? '') ? null : error)
    })
  }
}
