// The HTTP service over memory, on a real port, for everything that does not depend on a database.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { connect } from 'node:net'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { type AppParts, buildApp } from '../../src/app.ts'
import { InMemoryEventLog } from '../../src/db/in-memory/in-memory-event-log.ts'
import { InMemorySnapshots } from '../../src/db/in-memory/in-memory-snapshots.ts'
import { AppError } from '../../src/errors.ts'
import { FeedTail } from '../../src/follow/feed-tail.ts'
import { FollowHub } from '../../src/follow/follow-hub.ts'
import { loopbackAuthorizer, tokenAuthorizer } from '../../src/http/authorizer.ts'
import { Lifecycle } from '../../src/http/lifecycle.ts'
import { listen } from '../../src/http/listen.ts'
import { Tokens } from '../../src/http/tokens.ts'
import { openLog } from '../../src/logger.ts'
import { CONTENT_TYPES, exposition } from '../../src/metrics/exposition.ts'
import { httpMetrics } from '../../src/metrics/http.ts'
import { createRegistry } from '../../src/metrics/registry.ts'

export interface TestApp {
  app: FastifyInstance
  lifecycle: Lifecycle
  url: string
  port: number
  /** Lines of the log so far. */
  lines: string[]
  close(): Promise<void>
}

export interface TestAppOptions {
  /** As `ANNALS_TOKENS`; without it everything is allowed. */
  tokens?: string
  parts?: Partial<AppParts>
  /** Told of every route as it is added. */
  onRoute?(route: RouteOptions): void
}

const noMigrations = {
  status: () => Promise.reject(new AppError('database_unavailable', 'There is no database here.')),
  up: () => Promise.reject(new AppError('database_unavailable', 'There is no database here.')),
}

const noPool: AppParts['pool'] = {
  read: () => Promise.reject(new AppError('database_unavailable', 'There is no pool here.')),
  size: () => Promise.reject(new AppError('database_unavailable', 'There is no pool here.')),
}

const noIntegrity: AppParts['integrity'] = {
  check: () => Promise.reject(new AppError('database_unavailable', 'There is no store here.')),
}

const noConsumers = new Proxy({} as AppParts['consumers'], {
  get: () => () => Promise.reject(new AppError('database_unavailable', 'There are no consumers here.')),
})

const noBackups = new Proxy({} as AppParts['backups']['backups'], {
  get: () => () => Promise.reject(new AppError('database_unavailable', 'There are no backups here.')),
})

/** An app with the settings' defaults. */
export async function buildTestApp({ tokens, parts = {}, onRoute }: TestAppOptions = {}) {
  // Fastify announces each new instance, which is the one moment before its first route.
  const announce = (message: unknown) => {
    if (onRoute !== undefined) (message as { fastify: FastifyInstance }).fastify.addHook('onRoute', onRoute)
  }
  subscribe('fastify.initialization', announce)
  const lines: string[] = []
  const log = openLog({ LOG_LEVEL: 'info' }, { write: (line) => lines.push(line) })
  const lifecycle = new Lifecycle()
  lifecycle.serve()
  const registry = createRegistry()
  const events = new InMemoryEventLog()
  const app = await buildApp({
    version: '0.0.0-test',
    logger: log.logger,
    requestLog: { mode: 'off', slowMs: 1_000, write: log.writeLine },
    metrics: httpMetrics(registry, { inFlight: () => lifecycle.inFlight, streams: () => lifecycle.streams }),
    authorizer: tokens === undefined ? loopbackAuthorizer() : tokenAuthorizer(new Tokens({ list: tokens })),
    lifecycle,
    scrape: async (format) => ({ contentType: CONTENT_TYPES[format], body: await exposition(registry, format) }),
    log: events,
    hub: new FollowHub({
      log: events,
      tail: new FeedTail({ log: events, isWokenByOthers: () => true }),
      heartbeatMs: 200,
      limits: { maxPendingBytes: 2 * 1024 * 1024 },
    }),
    epoch: { current: 'memory.1', isStandby: false, confirm: () => Promise.resolve() },
    snapshots: new InMemorySnapshots(events),
    consumers: noConsumers,
    snapshotEvery: 100,
    pool: noPool,
    integrity: noIntegrity,
    backups: { backups: noBackups, types: [] },
    schedules: { report: () => Promise.reject(new AppError('database_unavailable', 'There are no schedules here.')) },
    migrations: { migrations: noMigrations, isHttpEnabled: () => true },
    health: () => ({
      database: 'healthy',
      eventCount: 0,
      notReady: [],
      degraded: [],
      checks: { database: { status: 'healthy' } },
    }),
    limits: { maxBodyBytes: 5 * 1024 * 1024, maxEvents: 1_000, maxEventBytes: 1024 * 1024, maxMetadataBytes: 65_536 },
    ...parts,
  })
  unsubscribe('fastify.initialization', announce)
  return { app, lifecycle, lines }
}

/** The same, listening on a free port of 127.0.0.1. */
export async function startTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const built = await buildTestApp(options)
  const url = await listen(built.app, '127.0.0.1', 0)
  return {
    ...built,
    url,
    port: Number(new URL(url).port),
    async close() {
      built.app.server.closeAllConnections()
      await built.app.close()
    },
  }
}

export interface RawAnswer {
  status: number
  /** Lower-case names; the last one wins. */
  headers: Record<string, string>
  body: string
  /** The problem's members, when the body is one. */
  problem: Record<string, unknown>
  /** All that came, several answers included. */
  text: string
}

const FIRST_BYTE_MS = 10_000

/**
 * Sends bytes as they are and reads until the other side closes, or nothing came for `idleMs`.
 * Several chunks are sent one after another with a pause, so that they arrive apart.
 */
export async function sendRaw(port: number, chunks: string | (string | Buffer)[], idleMs = 300): Promise<RawAnswer> {
  const socket = connect(port, '127.0.0.1')
  const received: Buffer[] = []
  const text = await new Promise<string>((resolve) => {
    const finish = () => {
      socket.destroy()
      resolve(Buffer.concat(received).toString('latin1'))
    }
    // The first byte may take longer on a busy machine; what follows it comes at once.
    socket.setTimeout(Math.max(idleMs, FIRST_BYTE_MS))
    // Where this process stood still, what came meanwhile is read before it counts as idle.
    socket.on('timeout', () => {
      const { length } = received
      setImmediate(() => received.length === length && finish())
    })
    socket.on('data', (chunk) => {
      received.push(chunk)
      socket.setTimeout(idleMs)
    })
    socket.on('close', finish)
    socket.on('error', finish)
    const left = [chunks].flat()
    const sendNext = () => {
      const chunk = left.shift()
      if (chunk === undefined || socket.destroyed) return
      socket.write(typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk)
      setTimeout(sendNext, 15)
    }
    socket.on('connect', sendNext)
  })
  return readAnswer(text)
}

/** The first answer in `text`. */
function readAnswer(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = text.slice(0, end === -1 ? undefined : end).split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  const length = headers['content-length']
  const rest = end === -1 ? '' : text.slice(end + 4)
  const body = Buffer.from(length === undefined ? rest : rest.slice(0, Number(length)), 'latin1').toString()
  const isProblem = headers['content-type']?.startsWith('application/problem+json') === true && body !== ''
  return {
    status: Number(statusLine.split(' ')[1] ?? 0),
    headers,
    body,
    problem: isProblem ? (JSON.parse(body) as Record<string, unknown>) : {},
    text,
  }
}
