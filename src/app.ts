// The map: every part of the HTTP service in the order in which a request meets it. Opens no port, reads no setting
// from anywhere but its argument.

import { type IncomingMessage, maxHeaderSize, type Server } from 'node:http'
import fastify, { type FastifyHttpOptions, type FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { AppendLimits } from './contract/event-body.ts'
import type { PoolReport } from './db/connections/pool-report.ts'
import type { ConsumerStore } from './db/consumers/consumer-store.ts'
import type { EventLog } from './db/event-log.ts'
import type { SnapshotStore } from './db/snapshots/snapshot-store.ts'
import type { FollowHub } from './follow/follow-hub.ts'
import type { Authorizer } from './http/authorizer.ts'
import { hstsHeader } from './http/browser-headers.ts'
import { corsHeaders } from './http/cors.ts'
import { type EdgeOptions, edge } from './http/edge.ts'
import { jsonBodies } from './http/json-body.ts'
import type { Lifecycle } from './http/lifecycle.ts'
import { answerMalformed } from './http/malformed.ts'
import { knowAllMethods } from './http/methods.ts'
import { describeRoutes } from './http/openapi.ts'
import type { Origins } from './http/origins.ts'
import { plainConnections } from './http/plain/plain-connections.ts'
import type { IsPlainTarget } from './http/plain/read-request.ts'
import { errorHandler } from './http/problems.ts'
import type { RateLimit } from './http/rate-limit.ts'
import { requestIdOf } from './http/request-id.ts'
import { type RequestLog, type RequestObserver, RequestReporter } from './http/request-report.ts'
import type { KeyPair } from './http/tls-files.ts'
import type { TrustProxy } from './http/trust-proxy.ts'
import { Turns } from './http/turns.ts'
import { answerBadTarget, answerNotFound, routeNotFound } from './http/unmatched.ts'
import { parseJson } from './json/parse.ts'
import { appendRoutes } from './routes/append.ts'
import { BACKUP_SCHEMAS } from './routes/backup-schemas.ts'
import { type BackupRoutesOptions, backupRoutes } from './routes/backups.ts'
import { consumerEventRoutes } from './routes/consumer-events.ts'
import { CONSUMER_SCHEMAS } from './routes/consumer-schemas.ts'
import { consumerRoutes } from './routes/consumers.ts'
import { docsRoutes, openDocsPage } from './routes/docs.ts'
import { EVENT_SCHEMAS } from './routes/event-schemas.ts'
import { eventRoutes } from './routes/events.ts'
import { type HealthReport, healthRoutes } from './routes/health.ts'
import { importRoutes } from './routes/import.ts'
import { type IntegrityRoutesOptions, integrityRoutes } from './routes/integrity.ts'
import type { EpochSource, LiveParts } from './routes/live.ts'
import { type MetricsRoutesOptions, metricsRoutes } from './routes/metrics.ts'
import { type MigrationRoutesOptions, migrationRoutes } from './routes/migrations.ts'
import { poolRoutes } from './routes/pool.ts'
import { type ScheduleRoutesOptions, scheduleRoutes } from './routes/schedules.ts'
import { SHARED_SCHEMAS } from './routes/schemas.ts'
import { SNAPSHOT_SCHEMAS } from './routes/snapshot-schemas.ts'
import { snapshotRoutes } from './routes/snapshots.ts'
import { streamRoutes } from './routes/streams.ts'

export interface AppParts {
  version: string
  logger: Logger
  requestLog: RequestLog
  metrics: RequestObserver & { malformed(status: number): void; surplus(): void }
  scrape: MetricsRoutesOptions['scrape']
  authorizer: Authorizer
  lifecycle: Lifecycle
  /** Whose pages may use the service from a browser; nobody's when absent. */
  origins?: Origins | undefined
  /** Answers over TLS ask browsers to use nothing else. */
  hasHsts?: boolean
  rateLimit?: RateLimit | undefined
  trustProxy?: TrustProxy | undefined
  /** Serves HTTPS with it. */
  tls?: KeyPair | undefined
  log: EventLog
  hub: FollowHub
  epoch: EpochSource
  snapshots: SnapshotStore
  consumers: ConsumerStore
  /** Advice: a stream with more events than this since its snapshot is listed as behind. */
  snapshotEvery: number
  migrations: MigrationRoutesOptions
  schedules: ScheduleRoutesOptions['schedules']
  pool: PoolReport
  integrity: IntegrityRoutesOptions['integrity']
  backups: BackupRoutesOptions
  health(): HealthReport
  limits: AppendLimits & { maxBodyBytes: number }
  /** False to leave every connection to Node's HTTP server. */
  hasPlainConnections?: boolean
  /** A request whose headers, or which as a whole, takes longer to arrive is cut off with 408. */
  arrival?: { headersMs: number; requestMs: number }
}

/** Puts the HTTP service together. The caller listens, and closes it. */
export async function buildApp(parts: AppParts): Promise<FastifyInstance> {
  const { lifecycle, limits, logger, metrics, version } = parts
  const live: LiveParts = { hub: parts.hub, lifecycle, epoch: parts.epoch }
  const edgeOptions: EdgeOptions = {
    lifecycle,
    authorizer: parts.authorizer,
    reporter: new RequestReporter(metrics, parts.requestLog),
    maxBodyBytes: limits.maxBodyBytes,
    dress: dressOf(parts),
    rateLimit: parts.rateLimit,
    onSurplus: metrics.surplus,
  }
  const app = fastify(serverOptions(edgeOptions, parts))

  // Before a route: what can't be routed, errors, bodies.
  answerMalformed(app.server, limits.maxBodyBytes, metrics.malformed)
  if (parts.tls === undefined && parts.hasPlainConnections !== false) plainConnections(app.server, isPlainTarget)
  const turns = new Turns(app.server, isProbe)
  lifecycle.onDrain(() => turns.end())
  app.setErrorHandler(errorHandler(logger, lifecycle, limits.maxBodyBytes))
  app.setSerializerCompiler(() => JSON.stringify)
  jsonBodies(app, parseJson)
  for (const schema of [
    ...SHARED_SCHEMAS,
    ...EVENT_SCHEMAS,
    ...SNAPSHOT_SCHEMAS,
    ...CONSUMER_SCHEMAS,
    ...BACKUP_SCHEMAS,
  ])
    app.addSchema(schema)

  // Around every route.
  const paths = knowAllMethods(app)
  await describeRoutes(app, version)
  openDocsPage(app)
  edge(app, edgeOptions)

  // The routes.
  healthRoutes(app, { version, health: parts.health })
  appendRoutes(app, { log: parts.log, limits })
  streamRoutes(app, { log: parts.log, snapshots: parts.snapshots, ...live })
  eventRoutes(app, { log: parts.log, ...live })
  snapshotRoutes(app, {
    snapshots: parts.snapshots,
    snapshotEvery: parts.snapshotEvery,
    maxStateBytes: limits.maxEventBytes,
    ...live,
  })
  consumerRoutes(app, { consumers: parts.consumers })
  consumerEventRoutes(app, {
    consumers: parts.consumers,
    head: () => parts.log.head(),
    ...live,
  })
  importRoutes(app, { log: parts.log, limits })
  migrationRoutes(app, parts.migrations)
  scheduleRoutes(app, { schedules: parts.schedules })
  poolRoutes(app, { pool: parts.pool })
  integrityRoutes(app, { integrity: parts.integrity })
  backupRoutes(app, parts.backups)
  metricsRoutes(app, { scrape: parts.scrape })
  await docsRoutes(app)

  // What no route matches.
  app.setNotFoundHandler(
    { onRequest: answerNotFound(edgeOptions, paths) } as Parameters<typeof app.setNotFoundHandler>[0],
    () => {
      throw routeNotFound()
    },
  )
  return app
}

// What has to be answered however much waits.
const isProbe = ({ url = '' }: IncomingMessage): boolean =>
  url.startsWith('/health') || url === '/livez' || url === '/readyz'

// Appends, and reads that are answered by one page: not those that wait for something or go on.
const PLAIN_POST = /^\/(?:streams\/[^/]+\/)?events$/
const PLAIN_GET = /^\/streams\/[^/]+(?:\/events)?$|^\/events\/[^/]+$/
const PLAIN_QUERY = /^(?:(?:from_version|limit|direction|type)=[^&]*(?:&(?!$)|$))*$/

const isPlainTarget: IsPlainTarget = (method, path, query, accept) =>
  method === 'POST'
    ? query === '' && PLAIN_POST.test(path)
    : PLAIN_GET.test(path) &&
      PLAIN_QUERY.test(query) &&
      (accept === undefined || accept === '*/*' || accept === 'application/json')

const ARRIVAL = { headersMs: 15_000, requestMs: 60_000 }
// How often Node looks for requests that are late.
const LONGEST_CHECK_MS = 5_000

// Only what is asked for: with neither, an answer costs no call more.
function dressOf({ origins, hasHsts = false }: AppParts): EdgeOptions['dress'] {
  const cors = origins && corsHeaders(origins)
  if (!hasHsts) return cors
  return (request, reply) => {
    cors?.(request, reply)
    hstsHeader(request, reply)
  }
}

function serverOptions(edgeOptions: EdgeOptions, parts: AppParts): FastifyHttpOptions<Server> {
  const { tls, trustProxy, arrival = ARRIVAL } = parts
  const http = {
    requireHostHeader: false,
    headersTimeout: arrival.headersMs,
    connectionsCheckingInterval: Math.min(LONGEST_CHECK_MS, arrival.headersMs / 3),
  }
  return {
    // Requests are logged by the edge; what Fastify logs beside them are children per request, which cost too much.
    logger: false,
    bodyLimit: edgeOptions.maxBodyBytes,
    requestTimeout: arrival.requestMs,
    genReqId: ({ headers }) => requestIdOf(headers),
    frameworkErrors: answerBadTarget(edgeOptions),
    // Answered by `answerMalformed`; Fastify's own handler would answer first, and not as a problem.
    clientErrorHandler: () => {},
    return503OnClosing: false,
    // Its server has all that the plain one has.
    ...(tls === undefined ? { http } : ({ https: { ...http, ...tls } } as object)),
    ...(trustProxy && { trustProxy }),
    routerOptions: {
      // Too long a stream id is for the stream routes to refuse, in their words.
      maxParamLength: maxHeaderSize,
      // Read by the query schema of each route, which knows what is allowed.
      querystringParser: (text) => text as never,
    },
  }
}
