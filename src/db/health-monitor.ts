// What is known about the database, asked on a timer, so that probes cost nothing and never wait.

import type { ErrorCode } from '../errors.ts'
import { translatePgError } from './pg-errors.ts'
import type { RunQuery } from './run-query.ts'
import { quoteIdentifier } from './sql.ts'
import { EPOCH_COLUMNS } from './store-epoch.ts'

/** Runs one statement with a deadline; that of an {@link AdminConnection}. */
export type HealthQuery = RunQuery

export type MigrationState = 'up_to_date' | 'pending' | 'drift' | 'newer'
export type NotReadyReason = 'starting' | 'database' | 'migrations' | 'draining' | 'read_only'

export interface HealthMonitorOptions {
  query: HealthQuery
  schema: string
  /** Compares the ledger with the migrations of this version, with at most one statement. */
  migrationState(query: HealthQuery): Promise<MigrationState>
  /** The database came or went. */
  onChange?(database: 'healthy' | 'unhealthy', error: unknown): void
  /**
   * After every answer while the database only reads, and once more when it writes again: after a failover the
   * connections that are open still lead to the old primary.
   */
  onReadOnly?(isReadOnly: boolean): void
  /** The row of each answer, with the columns of the epoch when there is a store. */
  onRow?(row: Record<string, unknown> | undefined): void
}

export interface HealthSnapshot {
  database: 'healthy' | 'unhealthy'
  /** Exact; null while the database can't be asked or has no store yet. */
  eventCount: number | null
  /** Empty when ready. */
  notReady: NotReadyReason[]
  readOnly: boolean
  migrations: MigrationState | null
  /** For instance `18.4`. */
  serverVersion: string | null
  /** What was looked at, for the operator. */
  checks: Record<string, unknown>
}

const INTERVAL_MS = 1_000
/** After a failure, and while the database only reads. */
const SHORT_INTERVAL_MS = 250
// Migrations rarely change under a running service, and one query per interval is promised.
const MIGRATIONS_INTERVAL_MS = 10_000
// An answer older than this says nothing: the event loop, or the clock, stood still.
const OUTDATED_MS = 3_000
const MISSING = new Set(['42P01', '3F000'])

interface State {
  isReadOnly: boolean
  serverVersion: string
  hasHead: boolean
  eventCount: number | null
}

export class HealthMonitor {
  readonly #options: HealthMonitorOptions
  readonly #headStatement: string
  #state: State | undefined
  #migrations: MigrationState | null = null
  #migrationsAt = Number.NEGATIVE_INFINITY
  #failure: unknown
  #checkedAt = Number.NEGATIVE_INFINITY
  #latencyMs: number | null = null
  #timer: NodeJS.Timeout | undefined
  #check: Promise<void> | undefined
  #isStarted = false
  #isDraining = false
  #isStopped = false

  constructor(options: HealthMonitorOptions) {
    this.#options = options
    this.#headStatement = `${STATEMENT}, true AS has_head, position, ${EPOCH_COLUMNS}
      FROM (VALUES (true)) AS one LEFT JOIN ${quoteIdentifier(options.schema)}.annals_head ON true`
  }

  /** Asks now, or waits for the answer that is on its way; afterwards it asks by itself until `stop()`. */
  check(): Promise<void> {
    clearTimeout(this.#timer)
    this.#check ??= this.#ask().finally(() => {
      this.#check = undefined
      if (this.#isStopped) return
      const isWell = this.#failure === undefined && this.#state?.isReadOnly !== true
      const pauseMs = isWell ? INTERVAL_MS : SHORT_INTERVAL_MS
      this.#timer = setTimeout(() => void this.check(), pauseMs).unref()
    })
    return this.#check
  }

  /** From now on the service may be ready. */
  markStarted(): void {
    this.#isStarted = true
  }

  /** From now on the service is not ready. */
  markDraining(): void {
    this.#isDraining = true
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  /** What is known at the moment; asks nobody. */
  snapshot(): HealthSnapshot {
    const ageMs = performance.now() - this.#checkedAt
    const isHealthy = this.#failure === undefined && ageMs < OUTDATED_MS
    const state = this.#state
    const eventCount = isHealthy ? (state?.eventCount ?? null) : null
    const notReady: NotReadyReason[] = []
    if (!this.#isStarted) notReady.push('starting')
    if (!isHealthy) notReady.push('database')
    // A newer database, or a migration that was edited, is refused at the start; a service that runs already goes on,
    // or every rolling update would take the old replicas away before the new ones are up.
    if (isHealthy && (this.#migrations === 'pending' || this.#migrations === null || !state?.hasHead)) {
      notReady.push('migrations')
    }
    if (this.#isDraining) notReady.push('draining')
    if (isHealthy && state?.isReadOnly) notReady.push('read_only')
    return {
      database: isHealthy ? 'healthy' : 'unhealthy',
      eventCount,
      notReady,
      readOnly: state?.isReadOnly ?? false,
      migrations: this.#migrations,
      serverVersion: state?.serverVersion ?? null,
      checks: {
        database: {
          status: isHealthy ? 'healthy' : 'unhealthy',
          error: isHealthy ? null : this.#errorCode(),
          latency_ms: this.#latencyMs,
          checked_ms_ago: Number.isFinite(ageMs) ? Math.round(ageMs) : null,
          read_only: state?.isReadOnly ?? null,
          server_version: state?.serverVersion ?? null,
        },
        migrations: { status: this.#migrations },
        service: { not_ready: notReady },
      },
    }
  }

  #errorCode(): ErrorCode | null {
    if (this.#failure !== undefined) return translatePgError(this.#failure).code
    return Number.isFinite(this.#checkedAt) ? 'timeout' : null
  }

  async #ask(): Promise<void> {
    const wasHealthy = this.#failure === undefined
    const startedAt = performance.now()
    let failure: unknown
    const wasReadOnly = this.#state?.isReadOnly === true
    try {
      this.#state = await this.#askState()
      const { isReadOnly } = this.#state
      if (isReadOnly || wasReadOnly) this.#options.onReadOnly?.(isReadOnly)
      this.#latencyMs = Math.round((performance.now() - startedAt) * 1000) / 1000
      await this.#askMigrations()
    } catch (error) {
      failure = error
    }
    this.#checkedAt = performance.now()
    this.#failure = failure
    if (wasHealthy !== (failure === undefined)) {
      this.#options.onChange?.(failure === undefined ? 'healthy' : 'unhealthy', failure)
    }
  }

  async #askState(): Promise<State> {
    const { query, schema } = this.#options
    if (this.#state?.hasHead) {
      try {
        return await this.#askHead()
      } catch (error) {
        if (!MISSING.has((error as { code?: string }).code ?? '')) throw error
      }
    }
    const found = await query(`${STATEMENT}, NULL AS position, to_regclass($1) IS NOT NULL AS has_head`, [
      `${quoteIdentifier(schema)}.annals_head`,
    ])
    const state = readState(found.rows)
    return state.hasHead ? this.#askHead() : state
  }

  async #askHead(): Promise<State> {
    const { rows } = await this.#options.query(this.#headStatement)
    this.#options.onRow?.(rows[0])
    return readState(rows)
  }

  async #askMigrations(): Promise<void> {
    const now = performance.now()
    const isFresh = now - this.#migrationsAt < MIGRATIONS_INTERVAL_MS
    if (this.#migrations === 'up_to_date' && isFresh) return
    this.#migrations = await this.#options.migrationState(this.#options.query)
    this.#migrationsAt = now
  }
}

const STATEMENT = `SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS read_only,
  split_part(current_setting('server_version'), ' ', 1) AS server_version`

function readState(rows: Record<string, unknown>[]): State {
  const row = rows[0] ?? {}
  const position = row['position']
  return {
    isReadOnly: row['read_only'] === true,
    serverVersion: row['server_version'] as string,
    hasHead: row['has_head'] === true,
    eventCount: typeof position === 'number' ? position : null,
  }
}
