// Everything behind the HTTP service: PostgreSQL, the pool, the store, health. The service starts before them and
// outlives their absence, so what it is handed are stand-ins until they are there.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Settings } from './config.ts'
import { AdminConnection } from './db/admin-connection.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './db/embedded-postgres.ts'
import type { EventLog } from './db/event-log.ts'
import { HealthMonitor, type HealthSnapshot } from './db/health-monitor.ts'
import { MeasuredPool } from './db/pool.ts'
import { applicationName, poolOptions } from './db/pool-options.ts'
import { type PoolReport, poolReport } from './db/pool-report.ts'
import { PostgresEventLog } from './db/postgres-event-log.ts'
import { AppError } from './errors.ts'
import { lateBound } from './late-bound.ts'
import { poolMetrics } from './metrics/pool.ts'
import type { MetricsRegistry } from './metrics/registry.ts'
import { storeMetrics } from './metrics/store.ts'
import { VERSION } from './version.ts'

export interface BackendOptions {
  settings: Readonly<Settings>
  logger: Logger
  registry: MetricsRegistry
  meanRequestMs(): number | null
}

export interface Backend {
  log: EventLog
  pool: PoolReport
  /** What is known at the moment; undefined before there is anything to ask. */
  health(): HealthSnapshot | undefined
  /** From now on not ready. */
  markDraining(): void
  /** The PostgreSQL that was started here, if so. */
  embedded(): EmbeddedPostgres | undefined
  /** Resolves when the database is there and migrated; rejects when that can never be. To be called once. */
  start(): Promise<void>
  /** Ends within about `deadlineMs`. */
  close(deadlineMs: number): Promise<void>
}

/** What can be put together as soon as the URL of the database is known. */
interface Connected {
  pool: MeasuredPool
  admin: AdminConnection
  monitor: HealthMonitor
  log: PostgresEventLog
}

const RETRY_MS = 250

/** Puts it together; nothing is started or connected before `start`. */
export function createBackend(options: BackendOptions): Backend {
  const { settings, logger } = options
  const absent = () => new AppError('database_unavailable', 'The database is still being started.')
  const log = lateBound<EventLog>(absent)
  const pool = lateBound<PoolReport>(absent)
  const closing = new AbortController()
  let embedded: EmbeddedPostgres | undefined
  let connected: Connected | undefined

  const observer = poolMetrics(options.registry, () => (connected as Connected).pool.stats())
  const storeObserver = storeMetrics(options.registry, {
    head: () => connected?.monitor.snapshot().eventCount ?? undefined,
    queuedEvents: () => connected?.log.queuedEvents ?? 0,
  })

  const start = async (): Promise<void> => {
    if (settings.DATABASE_URL === undefined) {
      embedded = await startEmbeddedPostgres({ dataDir: settings.DATA_DIR, log: logger, mayMoveData: true })
    }
    const url = settings.DATABASE_URL ?? (embedded as EmbeddedPostgres).url
    connected = connect(options, url, observer, storeObserver)
    log.bind(connected.log)
    pool.bind(
      poolReport({
        pool: connected.pool,
        admin: connected.admin,
        profile: settings.APP_ENV,
        meanRequestMs: options.meanRequestMs,
      }),
    )
    const { monitor } = connected
    await Promise.all([connected.pool.start(), monitor.check()])
    while (monitor.snapshot().database === 'unhealthy' && !closing.signal.aborted) await pause(closing.signal)
    monitor.markStarted()
  }
  let started: Promise<void> | undefined

  return {
    log: log.value,
    pool: pool.value,
    health: () => connected?.monitor.snapshot(),
    markDraining: () => connected?.monitor.markDraining(),
    embedded: () => embedded,
    start() {
      started = start()
      return started
    },
    async close(deadlineMs) {
      closing.abort()
      await started?.catch(() => {})
      connected?.monitor.stop()
      await Promise.all([connected?.pool.end(deadlineMs), connected?.admin.end()])
      await embedded?.stop()
    },
  }
}

function connect(
  { settings, logger }: BackendOptions,
  url: string,
  observer: ReturnType<typeof poolMetrics>,
  storeObserver: ReturnType<typeof storeMetrics>,
): Connected {
  const name = applicationName(VERSION)
  const pool = new MeasuredPool({ ...poolOptions(settings, url, name), observer })
  const admin = new AdminConnection({ url: settings.DATABASE_DIRECT_URL ?? url, applicationName: name })
  const monitor = new HealthMonitor({
    query: (text, values) => admin.query(text, values),
    schema: settings.DATABASE_SCHEMA,
    migrationState: () => Promise.resolve('up_to_date'),
    onChange: (database, error) => {
      if (database === 'healthy') logger.info('the database answers')
      else logger.error({ err: error }, 'the database does not answer')
    },
  })
  const log = new PostgresEventLog({
    pool,
    schema: settings.DATABASE_SCHEMA,
    lockTimeoutMs: settings.DATABASE_LOCK_TIMEOUT_MS,
    limits: {
      maxQueuedEvents: settings.APPEND_QUEUE_MAX_EVENTS,
      maxQueuedBytes: settings.APPEND_QUEUE_MAX_BYTES,
      queueTimeoutMs: settings.APPEND_QUEUE_TIMEOUT_MS,
      requestTimeoutMs: settings.REQUEST_TIMEOUT_MS,
    },
    observer: storeObserver,
  })
  return { pool, admin, monitor, log }
}

const pause = (signal: AbortSignal): Promise<void> => sleep(RETRY_MS, undefined, { signal }).catch(() => {})
