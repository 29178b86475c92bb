// Everything behind the HTTP service: PostgreSQL, the pool, the store, health. The service starts before them and
// outlives their absence, so what it is handed are stand-ins until they are there.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { BackupJobs, type BackupService } from './backup/backup-service.ts'
import { openDestination } from './backup/destinations.ts'
import type { BackupPolicy } from './backup/policy/policy.ts'
import { readPolicy } from './backup/policy/read-policy.ts'
import { ScheduleService } from './backup/schedules/schedule-service.ts'
import type { Settings } from './config.ts'
import { epochChanged } from './contract/epoch.ts'
import { AdminConnection } from './db/admin-connection.ts'
import { BackupWatch } from './db/backup/backup-watch.ts'
import type { ConsumerStore } from './db/consumer-store.ts'
import { ConsumerWatch } from './db/consumer-watch.ts'
import { PostgresConsumers } from './db/consumers.ts'
import { checkDatabaseUrl } from './db/database-url.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './db/embedded-postgres.ts'
import type { EventLog } from './db/event-log.ts'
import { HealthMonitor, type HealthQuery, type HealthSnapshot } from './db/health-monitor.ts'
import { IntegrityReport } from './db/integrity/integrity-report.ts'
import { MigrationError } from './db/migration-error.ts'
import { migrationsForHttp } from './db/migrations-for-http.ts'
import { Migrator, refuseUnusable } from './db/migrator.ts'
import { isConnectionFailure } from './db/pg-errors.ts'
import { MeasuredPool } from './db/pool.ts'
import { applicationName, poolOptions } from './db/pool-options.ts'
import { type PoolReport, poolReport } from './db/pool-report.ts'
import { eventLogOptions, PostgresEventLog } from './db/postgres-event-log.ts'
import type { SnapshotStore } from './db/snapshot-store.ts'
import { SnapshotWatch } from './db/snapshot-watch.ts'
import { PostgresSnapshots } from './db/snapshots.ts'
import { epochStatement, StoreEpoch } from './db/store-epoch.ts'
import { WakeUpListener } from './db/wake-up-listener.ts'
import { AppError } from './errors.ts'
import { FeedTail } from './follow/feed-tail.ts'
import { FollowHub } from './follow/follow-hub.ts'
import { lateBound } from './late-bound.ts'
import { backupMetrics } from './metrics/backups.ts'
import { consumerMetrics } from './metrics/consumers.ts'
import { poolMetrics } from './metrics/pool.ts'
import type { MetricsRegistry } from './metrics/registry.ts'
import { snapshotMetrics } from './metrics/snapshots.ts'
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
  hub: FollowHub
  snapshots: SnapshotStore
  consumers: ConsumerStore
  pool: PoolReport
  integrity: IntegrityReport
  backups: BackupService
  epoch: StoreEpoch
  migrations: MigrationsForHttp
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

/** What the monitor knows, and what the store met. */
export interface BackendHealth extends HealthSnapshot {
  /** It serves, and this is not as it should be. */
  degraded: 'database_full'[]
}

/** Migrations as the routes ask for them. */
export type MigrationsForHttp = ReturnType<typeof migrationsForHttp>

/** What can be put together as soon as the URL of the database is known. */
interface Connected {
  pool: MeasuredPool
  admin: AdminConnection
  monitor: HealthMonitor
  migrator: Migrator
  backups: BackupJobs
  log: PostgresEventLog
  wakeUps: WakeUpListener
  tail: FeedTail
  hub: FollowHub
  snapshots: PostgresSnapshots
  consumers: PostgresConsumers
  watches: { consumers: ConsumerWatch; snapshots: SnapshotWatch; backups: BackupWatch }
  schedules: ScheduleService
}

const RETRY_MS = 250
// A server that hangs is ended harder after each of these, so that all of it fits into the shutdown time.
const EMBEDDED_STEP_MS = 2_000

/** Puts it together; nothing is started or connected before `start`. */
export function createBackend(options: BackendOptions): Backend {
  const { settings, logger } = options
  for (const name of ['DATABASE_URL', 'DATABASE_DIRECT_URL'] as const) {
    const url = settings[name]
    if (url !== undefined) checkDatabaseUrl(name, url)
  }
  const absent = () => new AppError('database_unavailable', 'The database is still being started.')
  const policy = readPolicy(settings.BACKUP_POLICY_FILE)
  const log = lateBound<EventLog>(absent)
  const hub = lateBound<FollowHub>(absent)
  const snapshots = lateBound<SnapshotStore>(absent)
  const consumers = lateBound<ConsumerStore>(absent)
  const pool = lateBound<PoolReport>(absent)
  const integrity = lateBound<IntegrityReport>(absent)
  const migrations = lateBound<MigrationsForHttp>(absent)
  const backups = lateBound<BackupService>(absent)
  const schedules = lateBound<Pick<ScheduleService, 'report'>>(absent)
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

  const observer = poolMetrics(options.registry, () => (connected as Connected).pool.stats())
  const storeObserver = storeMetrics(options.registry, {
    head: () => (connected && healthOf(connected).eventCount) ?? undefined,
    queuedEvents: () => connected?.log.queuedEvents ?? 0,
  })

  consumerMetrics(options.registry, () => connected?.watches.consumers.known ?? [])
  snapshotMetrics(options.registry, () => connected?.watches.snapshots.known)
  backupMetrics(options.registry, () => connected?.watches.backups.known)

  const start = async (): Promise<void> => {
    if (settings.DATABASE_URL === undefined) {
      embedded = await startEmbeddedPostgres({ dataDir: settings.DATA_DIR, log: logger, mayMoveData: true })
    }
    const url = settings.DATABASE_URL ?? (embedded as EmbeddedPostgres).url
    connected = connect({ ...options, policy }, url, observer, storeObserver, epoch)
    log.bind(connected.log)
    hub.bind(connected.hub)
    snapshots.bind(connected.snapshots)
    consumers.bind(connected.consumers)
    integrity.bind(new IntegrityReport({ pool: connected.pool, schema: settings.DATABASE_SCHEMA }))
    backups.bind(connected.backups)
    schedules.bind(connected.schedules)
    migrations.bind(migrationsForHttp(connected.migrator, queryOf(connected.admin)))
    pool.bind(
      poolReport({
        pool: connected.pool,
        admin: connected.admin,
        profile: settings.APP_ENV,
        meanRequestMs: options.meanRequestMs,
      }),
    )
    await Promise.all([connected.pool.start(), bringUpToDate(options, connected, closing.signal)])
    connected.monitor.markStarted()
    for (const watch of Object.values(connected.watches)) watch.start()
    connected.schedules.start()
  }
  let started: Promise<void> | undefined

  return {
    log: log.value,
    hub: hub.value,
    snapshots: snapshots.value,
    consumers: consumers.value,
    pool: pool.value,
    integrity: integrity.value,
    backups: backups.value,
    epoch,
    migrations: migrations.value,
    schedules: schedules.value,
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
      await Promise.all([connected?.pool.end(deadlineMs), connected?.admin.end(), connected?.wakeUps.close()])
      await embedded?.stop(EMBEDDED_STEP_MS)
    },
  }
}

function connect(
  { settings, logger, policy }: BackendOptions & { policy: Readonly<BackupPolicy> },
  url: string,
  observer: ReturnType<typeof poolMetrics>,
  storeObserver: ReturnType<typeof storeMetrics>,
  epoch: StoreEpoch,
): Connected {
  const { DATABASE_SCHEMA: schema, DATABASE_DIRECT_URL: directUrl = url } = settings
  const name = applicationName(VERSION)
  const pool = new MeasuredPool({
    ...poolOptions(settings, url, name),
    observer,
    introduce: (client, done) => epoch.introduce(client, schema, done),
  })
  const admin = new AdminConnection({ url: directUrl, applicationName: name })
  const migrator = new Migrator({
    connectionString: directUrl,
    schema,
    lockTimeoutMs: settings.MIGRATION_LOCK_TIMEOUT_MS,
    log: (line) => logger.info(line),
  })
  const backups = new BackupJobs({
    desk: {
      destination: openDestination(settings.BACKUP_DIR, settings),
      store: { url: directUrl, schema },
      query: queryOf(admin),
    },
    pgBin: settings.PG_BIN,
    pgbackrestRepository: settings.BACKUP_PGBACKREST_DIR,
    onFailure: (kind, error) => logger.error({ err: error, kind }, 'a backup job did not succeed'),
  })
  const monitor = new HealthMonitor({
    query: queryOf(admin),
    schema,
    migrationState: async (query) => (await migrator.status(query)).status,
    onChange: (database, error) => {
      if (database === 'healthy') logger.info('the database answers')
      else logger.error({ err: error }, 'the database does not answer')
    },
    onReadOnly: followPrimary(pool, admin),
    onRow: (row) => epoch.learn(row),
  })
  const log = new PostgresEventLog({ pool, observer: storeObserver, ...eventLogOptions(settings) })
  const wakeUps = new WakeUpListener({ url: directUrl, applicationName: name, schema, onWakeUp: () => tail.wake() })
  const tail = new FeedTail({
    log,
    isWokenByOthers: () => wakeUps.state.mode === 'listening',
    onActive: () => wakeUps.start(),
    onError: (error) => logger.debug({ err: error }, 'the tail of the feed could not be read'),
  })
  const hub = new FollowHub({
    log,
    tail,
    heartbeatMs: settings.HEARTBEAT_SECONDS * 1000,
    limits: { maxPendingBytes: settings.FOLLOW_BUFFER_BYTES },
  })
  const consumers = new PostgresConsumers({ pool, schema, log })
  const snapshots = new PostgresSnapshots({ pool, schema })
  return {
    pool,
    admin,
    monitor,
    migrator,
    backups,
    log,
    wakeUps,
    tail,
    hub,
    snapshots,
    consumers,
    watches: {
      consumers: new ConsumerWatch(consumers),
      snapshots: new SnapshotWatch({ snapshots, moreThan: settings.SNAPSHOT_EVERY }),
      backups: new BackupWatch(queryOf(admin), schema),
    },
    schedules: new ScheduleService({
      settings,
      policy,
      store: { url: directUrl, schema },
      query: queryOf(admin),
      logger,
    }),
  }
}

// What was stored here since the monitor asked counts too. Only for a moment: a store can be restored to an earlier
// state under a running service.
const FRESH_MS = 3_000

function healthOf({ monitor, log, hub, wakeUps }: Connected): BackendHealth {
  const known = monitor.snapshot()
  const degraded: BackendHealth['degraded'] = log.isFull ? ['database_full'] : []
  const snapshot = {
    ...known,
    degraded,
    checks: {
      ...known.checks,
      store: { status: log.isFull ? 'database_full' : 'ok' },
      follow: { followers: hub.followers, wake_ups: wakeUps.state },
    },
  }
  const { lastAppend } = log
  if (snapshot.eventCount === null || lastAppend === undefined) return snapshot
  if (performance.now() - lastAppend.at > FRESH_MS) return snapshot
  return { ...snapshot, eventCount: Math.max(snapshot.eventCount, lastAppend.position) }
}

/** Leaves a server that only reads: the pool at once and when there is a primary again, the monitor each time it asks. */
function followPrimary(pool: MeasuredPool, admin: AdminConnection): (isReadOnly: boolean) => void {
  let wasReadOnly = false
  return (isReadOnly) => {
    if (isReadOnly !== wasReadOnly) pool.reset()
    if (isReadOnly) void admin.reset()
    wasReadOnly = isReadOnly
  }
}

const queryOf =
  (admin: AdminConnection): HealthQuery =>
  (text, values) =>
    admin.query(text, values)

/**
 * Waits for the database however long that takes, and migrates it when the settings say so.
 * @throws MigrationError when this version must not work on it, or a migration failed
 */
async function bringUpToDate(
  { settings, logger }: BackendOptions,
  { admin, monitor, migrator }: Connected,
  signal: AbortSignal,
): Promise<void> {
  const mayMigrate = (settings.MIGRATE_ON_START ?? (settings.DATABASE_URL === undefined ? 'on' : 'off')) === 'on'
  for (; !signal.aborted; await pause(signal)) {
    await monitor.check()
    const { database, migrations } = monitor.snapshot()
    if (database === 'unhealthy' || migrations === null) continue
    if (migrations === 'up_to_date') return
    if (migrations !== 'pending') {
      refuseUnusable(await migrator.status(queryOf(admin)))
    } else if (mayMigrate) {
      await migrate(migrator, logger)
    } else {
      logger.warn('migrations are pending: run `annals migrate up`, or set MIGRATE_ON_START=on')
      return
    }
  }
}

// Someone else who migrates, or a connection that is lost, is waited for; the next round asks again.
async function migrate(migrator: Migrator, logger: Logger): Promise<void> {
  try {
    await migrator.up()
  } catch (error) {
    const { cause = error } = error as Error
    const passes = error instanceof MigrationError ? error.kind === 'locked' : isConnectionFailure(error)
    if (!passes && !isConnectionFailure(cause)) throw error
    logger.warn({ err: error }, 'migrating was interrupted, and is tried again')
  }
}

const pause = (signal: AbortSignal): Promise<void> => sleep(RETRY_MS, undefined, { signal }).catch(() => {})
