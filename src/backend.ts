// Everything behind the HTTP service: PostgreSQL, the pool, the store, health. The service starts before them and
// outlives their absence, so what it is handed are stand-ins until they are there.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { bringUpToDate } from './backend/bring-up-to-date.ts'
import { type Connected, connect } from './backend/connected.ts'
import { type BackendHealth, healthOf } from './backend/health.ts'
import { lateBoundParts } from './backend/late-bound.ts'
import type { BackupService } from './backup/backup-service.ts'
import type { BackupPolicy } from './backup/policy/policy.ts'
import type { ScheduleService } from './backup/schedules/schedule-service.ts'
import { epochChanged } from './contract/epoch.ts'
import { checkDatabaseUrl } from './db/connections/database-url.ts'
import { type PoolReport, poolReport } from './db/connections/pool-report.ts'
import type { ConsumerStore } from './db/consumers/consumer-store.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './db/embedded/embedded-postgres.ts'
import type { EventLog } from './db/event-log.ts'
import { IntegrityReport } from './db/integrity/integrity-report.ts'
import { migrationsForHttp } from './db/migrations/migrations-for-http.ts'
import type { SnapshotStore } from './db/snapshots/snapshot-store.ts'
import { epochStatement, StoreEpoch } from './db/store-epoch.ts'
import { AppError } from './errors.ts'
import type { FollowHub } from './follow/follow-hub.ts'
import { backupMetrics } from './metrics/backups.ts'
import { consumerMetrics } from './metrics/consumers.ts'
import { poolMetrics } from './metrics/pool.ts'
import type { MetricsRegistry } from './metrics/registry.ts'
import { snapshotMetrics } from './metrics/snapshots.ts'
import { storeMetrics } from './metrics/store.ts'
import type { Settings } from './settings.ts'

export interface BackendOptions {
  settings: Readonly<Settings>
  policy: Readonly<BackupPolicy>
  logger: Logger
  registry: MetricsRegistry
  /** The embedded PostgreSQL, where it is being started already. */
  embedded?: Promise<EmbeddedPostgres> | undefined
  meanRequestMs(): number | null
}

export interface Backend {
  log: EventLog
  hub: FollowHub
  snapshots: SnapshotStore
  consumers: ConsumerStore
  pool: PoolReport
  integrity: IntegrityReport
  backups: BackupService
  epoch: StoreEpoch
  migrations: ReturnType<typeof migrationsForHttp>
  schedules: Pick<ScheduleService, 'report'>
  /** What is known at the moment; undefined before there is anything to ask. */
  health(): BackendHealth | undefined
  /** From now on not ready. */
  markDraining(): void
  /** The PostgreSQL that was started here, if so. */
  embedded(): EmbeddedPostgres | undefined
  /** Resolves when the database is there and migrated; rejects when that can never be. To be called once. */
  start(): Promise<void>
  /** Ends within about `deadlineMs`. */
  close(deadlineMs: number): Promise<void>
}

/** What is handed out as a stand-in. */
const PARTS = [
  'log',
  'hub',
  'snapshots',
  'consumers',
  'pool',
  'integrity',
  'backups',
  'migrations',
  'schedules',
] as const satisfies (keyof Backend)[]
type Parts = Pick<Backend, (typeof PARTS)[number]>

// A server that hangs is ended harder after each of these, so that all of it fits into the shutdown time.
const EMBEDDED_STEP_MS = 2_000

/** Puts it together; nothing is started or connected before `start`. */
export function createBackend(options: BackendOptions): Backend {
  const { settings, policy, logger, registry } = options
  for (const name of ['DATABASE_URL', 'DATABASE_DIRECT_URL'] as const) {
    const url = settings[name]
    if (url !== undefined) checkDatabaseUrl(name, url)
  }
  const absent = () => new AppError('database_unavailable', 'The database is still being started.')
  const parts = lateBoundParts<Parts>(PARTS, absent)
  const epoch = new StoreEpoch(async () => {
    if (connected === undefined) throw absent()
    return (await connected.pool.query(epochStatement(settings.DATABASE_SCHEMA))).rows
  })
  epoch.onChange(() => {
    logger.warn({ epoch: epoch.current }, 'the store has another history: it was restored, or a standby took over')
    connected?.hub.startOver(epochChanged(epoch.current))
  })
  const closing = new AbortController()
  let embedded: EmbeddedPostgres | undefined
  let connected: Connected | undefined

  const poolObserver = poolMetrics(registry, () => (connected as Connected).pool.stats())
  const storeObserver = storeMetrics(registry, {
    head: () => (connected && healthOf(connected).eventCount) ?? undefined,
    queuedEvents: () => connected?.log.queuedEvents ?? 0,
  })
  consumerMetrics(registry, () => connected?.watches.consumers.known ?? [])
  snapshotMetrics(registry, () => connected?.watches.snapshots.known)
  backupMetrics(registry, () => connected?.watches.backups.known)

  const start = async (): Promise<void> => {
    if (settings.DATABASE_URL === undefined) {
      const usual = { dataDir: settings.DATA_DIR, log: logger, mayMoveData: true }
      embedded = await (options.embedded ?? startEmbeddedPostgres(usual))
    }
    const url = settings.DATABASE_URL ?? (embedded as EmbeddedPostgres).url
    connected = connect({ settings, logger, policy, url, epoch, poolObserver, storeObserver })
    parts.bind(partsOf(connected, options))
    await Promise.all([connected.pool.start(), bringUpToDate(options, connected, closing.signal)])
    connected.monitor.markStarted()
    for (const watch of Object.values(connected.watches)) watch.start()
    connected.schedules.start()
  }
  let started: Promise<void> | undefined

  return {
    ...parts.values,
    epoch,
    health: () => connected && healthOf(connected),
    markDraining: () => connected?.monitor.markDraining(),
    embedded: () => embedded,
    start() {
      started = start()
      return started
    },
    async close(deadlineMs) {
      closing.abort()
      // A migration on a database that hangs would hold up the end.
      const isStarted = new AbortController()
      const deadline = sleep(deadlineMs, undefined, { signal: isStarted.signal }).catch(() => {})
      await Promise.race([started?.catch(() => {}), deadline])
      isStarted.abort()
      connected?.monitor.stop()
      for (const watch of Object.values(connected?.watches ?? {})) watch.stop()
      await connected?.schedules.stop(deadlineMs)
      connected?.tail.close()
      await Promise.race([connected?.backups.close(), sleep(deadlineMs, undefined, { ref: false })])
      const { pool, admin, probe, wakeUps } = connected ?? {}
      await Promise.all([pool?.end(deadlineMs), admin?.end(), probe?.end(), wakeUps?.close()])
      await embedded?.stop(EMBEDDED_STEP_MS)
    },
  }
}

function partsOf(connected: Connected, { settings, meanRequestMs }: BackendOptions): Parts {
  const { log, hub, snapshots, consumers, backups, schedules, pool, admin, migrator, query } = connected
  return {
    ...{ log, hub, snapshots, consumers, backups, schedules },
    pool: poolReport({ pool, admin, profile: settings.APP_ENV, meanRequestMs }),
    integrity: new IntegrityReport({ pool, schema: settings.DATABASE_SCHEMA }),
    migrations: migrationsForHttp(migrator, query),
  }
}
