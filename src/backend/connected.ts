// What can be put together as soon as the URL of the database is known. Nothing is connected yet.

import type { Logger } from 'pino'
import { BackupJobs } from '../backup/backup-service.ts'
import { openDestination } from '../backup/destinations/destinations.ts'
import { toolsOf } from '../backup/job-tools.ts'
import type { BackupPolicy } from '../backup/policy/policy.ts'
import { ScheduleService } from '../backup/schedules/schedule-service.ts'
import { BackupWatch } from '../db/backup/backup-watch.ts'
import { AdminConnection } from '../db/connections/admin-connection.ts'
import { MeasuredPool } from '../db/connections/pool.ts'
import { applicationName, type PoolObserver, poolOptions } from '../db/connections/pool-options.ts'
import { WakeUpListener } from '../db/connections/wake-up-listener.ts'
import { ConsumerWatch } from '../db/consumers/consumer-watch.ts'
import { PostgresConsumers } from '../db/consumers/consumers.ts'
import { HealthMonitor, type HealthQuery } from '../db/health-monitor.ts'
import { Migrator } from '../db/migrations/migrator.ts'
import { type EventLogObserver, eventLogOptions, PostgresEventLog } from '../db/postgres-event-log.ts'
import { SnapshotWatch } from '../db/snapshots/snapshot-watch.ts'
import { PostgresSnapshots } from '../db/snapshots/snapshots.ts'
import type { StoreEpoch } from '../db/store-epoch.ts'
import { FeedTail } from '../follow/feed-tail.ts'
import { FollowHub } from '../follow/follow-hub.ts'
import type { Settings } from '../settings.ts'
import { VERSION } from '../version.ts'

export interface ConnectOptions {
  settings: Readonly<Settings>
  logger: Logger
  policy: Readonly<BackupPolicy>
  /** Of the database. */
  url: string
  epoch: StoreEpoch
  poolObserver: PoolObserver
  storeObserver: EventLogObserver
}

export interface Connected {
  pool: MeasuredPool
  admin: AdminConnection
  /** The monitor's, on the way that requests take. */
  probe: AdminConnection
  /** One statement over the connection beside the pool. */
  query: HealthQuery
  monitor: HealthMonitor
  migrator: Migrator
  backups: BackupJobs
  schedules: ScheduleService
  log: PostgresEventLog
  wakeUps: WakeUpListener
  tail: FeedTail
  hub: FollowHub
  snapshots: PostgresSnapshots
  consumers: PostgresConsumers
  watches: { consumers: ConsumerWatch; snapshots: SnapshotWatch; backups: BackupWatch }
}

/** Opens no connection: the pool and its companions connect at their first use, or when the backend starts them. */
export function connect(options: ConnectOptions): Connected {
  const { settings, logger, policy, url, epoch, poolObserver, storeObserver } = options
  const { DATABASE_SCHEMA: schema, DATABASE_DIRECT_URL: directUrl = url } = settings
  const name = applicationName(VERSION)
  const pool = new MeasuredPool({
    ...poolOptions(settings, url, name),
    observer: poolObserver,
    introduce: (client, done) => epoch.introduce(client, schema, done),
  })
  const admin = new AdminConnection({ url: directUrl, applicationName: name })
  const query: HealthQuery = (text, values) => admin.query(text, values)
  // A pooler may be away where the database is not.
  const probe = directUrl === url ? admin : new AdminConnection({ url, applicationName: name })
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
      query,
    },
    tools: toolsOf(settings),
    onFailure: (kind, error) => logger.error({ err: error, kind }, 'a backup job did not succeed'),
  })
  const schedules = new ScheduleService({ settings, policy, store: { url: directUrl, schema }, query, logger })
  const monitor = new HealthMonitor({
    query: (text, values) => probe.query(text, values),
    schema,
    migrationState: async (ask) => (await migrator.status(ask)).status,
    onChange: (database, error) => {
      if (database === 'healthy') logger.info('the database answers')
      else logger.error({ err: error }, 'the database does not answer')
    },
    onReadOnly: followPrimary(pool, new Set([admin, probe])),
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
  const watches = {
    consumers: new ConsumerWatch(consumers),
    snapshots: new SnapshotWatch({ snapshots, moreThan: settings.SNAPSHOT_EVERY }),
    backups: new BackupWatch(query, schema),
  }
  return {
    ...{ pool, admin, probe, query, monitor, migrator, backups, schedules },
    ...{ log, wakeUps, tail, hub, snapshots, consumers, watches },
  }
}

/** Leaves a server that only reads: the pool at once and when there is a primary again, the others each time. */
function followPrimary(pool: MeasuredPool, others: Set<AdminConnection>): (isReadOnly: boolean) => void {
  let wasReadOnly = false
  return (isReadOnly) => {
    if (isReadOnly !== wasReadOnly) pool.reset()
    if (isReadOnly) for (const other of others) void other.reset()
    wasReadOnly = isReadOnly
  }
}
