// The composition: settings in, a running service out.

import { type AppParts, buildApp } from './app.ts'
import type { Settings } from './config.ts'
import { SettingsError } from './config.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './db/embedded-postgres.ts'
import type { EventLog } from './db/event-log.ts'
import { MeasuredPool } from './db/pool.ts'
import { applicationName, poolOptions } from './db/pool-options.ts'
import { PostgresEventLog } from './db/postgres-event-log.ts'
import { AppError } from './errors.ts'
import { type Authorizer, isLoopbackName, loopbackAuthorizer, tokenAuthorizer } from './http/authorizer.ts'
import { Lifecycle } from './http/lifecycle.ts'
import { drain, listen } from './http/listen.ts'
import { Tokens } from './http/tokens.ts'
import { lateBound } from './late-bound.ts'
import type { Log } from './logger.ts'
import { createRegistry } from './metrics/registry.ts'
import { VERSION } from './version.ts'

export interface ServiceOptions {
  settings: Readonly<Settings>
  log: Log
}

export interface Service {
  url: string
  /** Resolves when the database is there and migrated; rejects when that can never be. */
  ready: Promise<void>
  /** Drains and stops everything; a second call waits for the first. */
  close(): Promise<void>
}

/**
 * Starts everything and resolves as soon as the port is open; the database may come later.
 * @throws SettingsError, or the system's error when the port can't be had
 */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { settings, log } = options
  const { authorizer, tokens } = authorizerFor(settings)
  tokens?.watch(log.logger)
  const lifecycle = new Lifecycle()
  const registry = createRegistry()
  const events = lateBound<EventLog>(() => new AppError('database_unavailable', 'The database is still being started.'))
  const app = await buildApp({
    version: VERSION,
    logger: log.logger,
    requestLog: { mode: settings.LOG_REQUESTS, slowMs: settings.SLOW_REQUEST_MS, write: log.writeLine },
    registry,
    authorizer,
    lifecycle,
    log: events.value,
    health: () => ({
      database: lifecycle.phase === 'starting' ? 'unhealthy' : 'healthy',
      eventCount: null,
      notReady: lifecycle.phase === 'starting' ? ['starting'] : lifecycle.isDraining ? ['draining'] : [],
      checks: {},
    }),
    limits: limitsOf(settings),
  })
  const url = await listen(app, settings.HOST, settings.PORT)
  log.logger.info({ url }, 'listening')

  let embedded: EmbeddedPostgres | undefined
  let pool: MeasuredPool | undefined
  const ready = (async () => {
    if (settings.DATABASE_URL === undefined) {
      embedded = await startEmbeddedPostgres({ dataDir: settings.DATA_DIR, log: log.logger, mayMoveData: true })
    }
    const databaseUrl = settings.DATABASE_URL ?? (embedded as EmbeddedPostgres).url
    pool = new MeasuredPool(poolOptions(settings, databaseUrl, applicationName(VERSION)))
    const eventLog = new PostgresEventLog({
      pool,
      schema: settings.DATABASE_SCHEMA,
      lockTimeoutMs: settings.DATABASE_LOCK_TIMEOUT_MS,
      limits: {
        maxQueuedEvents: settings.APPEND_QUEUE_MAX_EVENTS,
        maxQueuedBytes: settings.APPEND_QUEUE_MAX_BYTES,
        queueTimeoutMs: settings.APPEND_QUEUE_TIMEOUT_MS,
        requestTimeoutMs: settings.REQUEST_TIMEOUT_MS,
      },
      observer: {
        appended() {},
        conflicted() {},
        replayed() {},
        settled() {},
        batchCommitted() {},
        overloaded() {},
      },
    })
    events.bind(eventLog)
    await pool.start()
    lifecycle.serve()
  })()
  ready.catch(() => {})

  let closing: Promise<void> | undefined
  const close = async (): Promise<void> => {
    await drain(app, lifecycle, { delayMs: 0, timeoutMs: settings.SHUTDOWN_TIMEOUT_MS })
    await ready.catch(() => {})
    tokens?.close()
    await pool?.end(1_000)
    await embedded?.stop()
  }
  return {
    url,
    ready,
    close() {
      closing ??= close()
      return closing
    },
  }
}

function authorizerFor(settings: Readonly<Settings>): { authorizer: Authorizer; tokens: Tokens | undefined } {
  const sources = { list: settings.ANNALS_TOKENS, file: settings.ANNALS_TOKENS_FILE }
  if (Tokens.areConfigured(sources)) {
    const tokens = new Tokens(sources)
    return { authorizer: tokenAuthorizer(tokens), tokens }
  }
  if (isLoopbackName(settings.HOST)) return { authorizer: loopbackAuthorizer(), tokens: undefined }
  throw new SettingsError(
    `HOST is ${JSON.stringify(settings.HOST)}, which others can reach: set ANNALS_TOKENS (for instance admin:<a secret of 16 or more characters>) or ANNALS_TOKENS_FILE, or listen on 127.0.0.1`,
  )
}

const limitsOf = (settings: Readonly<Settings>): AppParts['limits'] => ({
  maxBodyBytes: settings.MAX_BODY_BYTES,
  maxEvents: settings.MAX_EVENTS_PER_REQUEST,
  maxEventBytes: settings.MAX_EVENT_BYTES,
  maxMetadataBytes: settings.MAX_METADATA_BYTES,
})
