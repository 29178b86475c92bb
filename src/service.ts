// The composition: settings in, a running service out.

import { type AppParts, buildApp } from './app.ts'
import { type Backend, createBackend } from './backend.ts'
import { DRIVERS } from './backup/drivers.ts'
import { type BackupPolicy, DEFAULT_POLICY } from './backup/policy/policy.ts'
import type { EmbeddedPostgres } from './db/embedded/embedded-postgres.ts'
import { createGuard, type Guard } from './guard.ts'
import { keepDeadline } from './http/deadline.ts'
import { Lifecycle } from './http/lifecycle.ts'
import { drain, listen } from './http/listen.ts'
import { listenForMetrics } from './http/metrics-port.ts'
import type { Log } from './logger.ts'
import { CONTENT_TYPES, exposition } from './metrics/exposition.ts'
import { httpMetrics } from './metrics/http.ts'
import { processMetrics } from './metrics/process.ts'
import { createRegistry } from './metrics/registry.ts'
import type { HealthReport } from './routes/health.ts'
import type { MetricsRoutesOptions } from './routes/metrics.ts'
import type { Settings } from './settings.ts'
import { VERSION } from './version.ts'

export interface ServiceOptions {
  settings: Readonly<Settings>
  log: Log
  /** The embedded PostgreSQL, where it is being started already; what ends the service stops it. */
  embedded?: Promise<EmbeddedPostgres> | undefined
}

export interface Service {
  url: string
  /** Resolves when the database is there and migrated; rejects when that can never be. */
  ready: Promise<void>
  /** The PostgreSQL that was started here, if so; known when the service is ready. */
  embedded(): EmbeddedPostgres | undefined
  /** Drains and stops everything; a second call waits for the first. */
  close(): Promise<void>
}

// What is left of the shutdown time for the database when requests have used up theirs.
const DATABASE_SHARE_MS = 1_000

/**
 * Starts everything and resolves as soon as the port is open; the database may come later.
 * @throws SettingsError, or the system's error when a port can't be had
 */
export async function startService({ settings, log, embedded }: ServiceOptions): Promise<Service> {
  const lifecycle = new Lifecycle()
  const registry = createRegistry()
  const metrics = httpMetrics(registry, { inFlight: () => lifecycle.inFlight, streams: () => lifecycle.streams })
  processMetrics(registry, VERSION)
  const scrape: MetricsRoutesOptions['scrape'] = async (format) => ({
    contentType: CONTENT_TYPES[format],
    body: await exposition(registry, format),
  })

  const backend = createBackend({
    ...{ settings, policy: await policyOf(settings), logger: log.logger, registry, embedded },
    meanRequestMs: metrics.meanRequestMs,
  })
  const guard = await createGuard({ settings, logger: log.logger, registry })
  const app = await buildApp({
    version: VERSION,
    logger: log.logger,
    requestLog: { mode: settings.LOG_REQUESTS, slowMs: settings.SLOW_REQUEST_MS, write: log.writeLine },
    metrics,
    scrape,
    ...guard.parts,
    lifecycle,
    log: backend.log,
    hub: backend.hub,
    epoch: backend.epoch,
    snapshots: backend.snapshots,
    consumers: backend.consumers,
    snapshotEvery: settings.SNAPSHOT_EVERY,
    migrations: { migrations: backend.migrations, isHttpEnabled: () => mayMigrateOverHttp(settings) },
    pool: backend.pool,
    integrity: backend.integrity,
    backups: { backups: backend.backups, types: DRIVERS },
    schedules: backend.schedules,
    health: () => healthOf(lifecycle, backend, guard),
    limits: limitsOf(settings),
    arrival: { headersMs: settings.REQUEST_HEADERS_TIMEOUT_MS, requestMs: settings.REQUEST_ARRIVAL_TIMEOUT_MS },
  })

  // The port before the database: whether it is free is known at once, and probes are answered from the start.
  const metricsPort = await listenForMetrics(settings, scrape, guard.parts.tls)
  let url: string
  try {
    url = await listen(app, settings.HOST, settings.PORT)
  } catch (error) {
    await metricsPort?.close()
    guard.close()
    throw error
  }
  const stopDeadline = keepDeadline(lifecycle, settings.REQUEST_TIMEOUT_MS)
  guard.watch([app.server, metricsPort?.server])
  log.logger.info({ url, metrics_url: metricsPort?.url }, 'listening')

  // A database that is somewhere else is asked as it is; its answers are better than ours.
  if (settings.DATABASE_URL !== undefined) lifecycle.serve()
  const ready = backend.start().then(() => lifecycle.serve())
  // Whoever started the service hears of it; until then it must not count as unhandled.
  ready.catch(() => {})

  const close = async (): Promise<void> => {
    const deadlineAt = performance.now() + settings.SHUTDOWN_TIMEOUT_MS
    log.logger.info({ in_flight: lifecycle.inFlight, streams: lifecycle.streams }, 'stopping')
    backend.markDraining()
    await drain(app, lifecycle, {
      delayMs: settings.SHUTDOWN_DELAY_MS,
      timeoutMs: Math.max(0, settings.SHUTDOWN_TIMEOUT_MS - DATABASE_SHARE_MS),
    })
    stopDeadline()
    await metricsPort?.close()
    guard.close()
    await backend.close(Math.max(0, deadlineAt - performance.now()) / 2)
    log.logger.info('stopped')
  }
  let closing: Promise<void> | undefined
  return {
    url,
    ready,
    embedded: backend.embedded,
    close() {
      closing ??= close()
      return closing
    },
  }
}

// The reader of YAML is loaded only where there is a file.
async function policyOf({ BACKUP_POLICY_FILE: file }: Readonly<Settings>): Promise<Readonly<BackupPolicy>> {
  return file === undefined ? DEFAULT_POLICY : (await import('./backup/policy/read-policy.ts')).readPolicy(file)
}

function healthOf(lifecycle: Lifecycle, backend: Backend, guard: Guard): HealthReport {
  const report = storeHealthOf(lifecycle, backend)
  const { checks, degraded } = guard.health()
  return { ...report, degraded: [...report.degraded, ...degraded], checks: { ...report.checks, ...checks } }
}

function storeHealthOf(lifecycle: Lifecycle, backend: Backend): HealthReport {
  const snapshot = backend.health()
  if (snapshot !== undefined) return snapshot
  const notReady: HealthReport['notReady'] = lifecycle.isDraining ? ['starting', 'draining'] : ['starting']
  return {
    database: 'unhealthy',
    eventCount: null,
    notReady,
    degraded: [],
    checks: { service: { not_ready: notReady } },
  }
}

// On by default where the database is ours alone.
const mayMigrateOverHttp = ({ MIGRATIONS_OVER_HTTP, DATABASE_URL }: Readonly<Settings>): boolean =>
  (MIGRATIONS_OVER_HTTP ?? (DATABASE_URL === undefined ? 'on' : 'off')) === 'on'

const limitsOf = (settings: Readonly<Settings>): AppParts['limits'] => ({
  maxBodyBytes: settings.MAX_BODY_BYTES,
  maxEvents: settings.MAX_EVENTS_PER_REQUEST,
  maxEventBytes: settings.MAX_EVENT_BYTES,
  maxMetadataBytes: settings.MAX_METADATA_BYTES,
})
