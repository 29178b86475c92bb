// The library: what `import … from 'annals'` gives.

import { loadSettings } from './config.ts'
import { MeasuredPool } from './db/connections/pool.ts'
import { applicationName, poolOptions } from './db/connections/pool-options.ts'
import { WakeUpListener } from './db/connections/wake-up-listener.ts'
import { runMigrations } from './db/migrations/migrator.ts'
import { eventLogOptions, PostgresEventLog, UNOBSERVED } from './db/postgres-event-log.ts'
import { PostgresSnapshots } from './db/snapshots/snapshots.ts'
import { checkConnection } from './db/transaction.ts'
import { FeedTail } from './follow/feed-tail.ts'
import { EventStore } from './library.ts'
import { VERSION } from './version.ts'

export type { SnapshotInfo } from './contract/snapshot-answers.ts'
export type { Appended, ExpectedVersion, FailedCondition, StreamInfo } from './db/event-log.ts'
export { AppError, ERRORS, type ErrorCode } from './errors.ts'
export type { FeedConditions, FollowOptions, ReadFeedOptions, ReadStreamOptions } from './library/queries.ts'
export type { NewEvent, NewSnapshot, Snapshot, StoredEvent } from './library/values.ts'
export { EventStore, InMemoryEventStore } from './library.ts'
export { runMigrations }

export interface OpenEventStoreOptions {
  /** `postgres://…`; a pooler in between is recognised. */
  databaseUrl: string
  /** For migrations and wake-ups, when `databaseUrl` leads through a pooler. */
  directUrl?: string
  /** Default `public`. */
  schema?: string
  /** Default 5. */
  maxConnections?: number
}

/** An event store on PostgreSQL that can also migrate it. */
export class PostgresEventStore extends EventStore {
  readonly #url: string
  readonly #schema: string

  constructor(url: string, schema: string, ...rest: ConstructorParameters<typeof EventStore>) {
    super(...rest)
    this.#url = url
    this.#schema = schema
  }

  /** Applies what is pending; safe from several processes at once. */
  runMigrations(): ReturnType<typeof runMigrations> {
    return runMigrations(this.#url, { schema: this.#schema })
  }
}

/**
 * Opens an event store. Nothing is migrated: call `runMigrations()` on it, or `annals migrate up`.
 * @throws the error of the first connection, as an AppError
 */
export async function openEventStore(options: OpenEventStoreOptions): Promise<PostgresEventStore> {
  const { databaseUrl, directUrl = databaseUrl, schema = 'public', maxConnections = 5 } = options
  const { settings } = loadSettings({
    DATABASE_URL: databaseUrl,
    DATABASE_SCHEMA: schema,
    DATABASE_MAX_CONNECTIONS: String(maxConnections),
  })
  const name = applicationName(VERSION)
  const pool = new MeasuredPool(poolOptions(settings, databaseUrl, name))
  const log = new PostgresEventLog({ pool, ...eventLogOptions(settings), observer: UNOBSERVED })
  const snapshots = new PostgresSnapshots({ pool, schema })
  const wakeUps = new WakeUpListener({ url: directUrl, applicationName: name, schema, onWakeUp: () => tail.wake() })
  const tail = new FeedTail({
    log,
    isWokenByOthers: () => wakeUps.state.mode === 'listening',
    onActive: () => wakeUps.start(),
  })
  const onClose = async () => {
    await Promise.all([pool.end(), wakeUps.close()])
  }
  const store = new PostgresEventStore(directUrl, schema, log, { snapshots, tail, onClose })
  try {
    await checkConnection(pool)
  } catch (error) {
    await store.close()
    throw error
  }
  return store
}
