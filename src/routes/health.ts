// The face for probes. Liveness says only that the process serves: a probe on it must never kill a pod because the
// database is away. Readiness comes from what the health monitor saw last, so probes cost no query.

import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import { problems } from './schemas.ts'

export const NOT_READY_REASONS = ['starting', 'database', 'migrations', 'draining', 'read_only'] as const
export type NotReadyReason = (typeof NOT_READY_REASONS)[number]
export type DegradedReason = 'database_full' | 'rate_limit'

/** What is known at the moment, without asking anybody. */
export interface HealthReport {
  database: 'healthy' | 'unhealthy'
  /** Exact; null while the database can't be asked. */
  eventCount: number | null
  /** Empty when ready. */
  notReady: NotReadyReason[]
  /** It serves, and this is not as it should be. */
  degraded: DegradedReason[]
  /** For the operator: what was looked at, and what was found. */
  checks: Record<string, unknown>
}

export interface HealthRoutesOptions {
  version: string
  health(): HealthReport
}

const Ignored = Type.Object({}, { additionalProperties: true })
const JSON_TYPE = 'application/json; charset=utf-8'
const probe = { scope: null, isAlwaysOpen: true, isUnlimited: true, isNeverCached: true } as const

const Health = Type.Object(
  {
    status: Type.Union([Type.Literal('ok'), Type.Literal('degraded'), Type.Literal('error')], {
      description: '`degraded`: it serves, but not all is well; `error`: the database is away.',
    }),
    database: Type.Union([Type.Literal('healthy'), Type.Literal('unhealthy')]),
    event_count: Type.Unsafe<number | null>({ type: ['integer', 'null'], description: 'Exact number of events.' }),
    version: Type.String({ description: 'Of Annals.' }),
    uptime_seconds: Type.Number(),
    checks: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: 'For scope `admin`, or without tokens.' }),
    ),
  },
  {
    examples: [{ status: 'ok', database: 'healthy', event_count: 10992, version: '0.1.0', uptime_seconds: 12.4 }],
  },
)

/** `/health`, `/health/live`, `/health/ready`, and `/livez`, `/readyz`, which are the same two. */
export function healthRoutes(app: FastifyInstance, { version, health }: HealthRoutesOptions): void {
  app.get(
    '/health',
    {
      config: probe,
      schema: {
        operationId: 'getHealth',
        tags: ['health'],
        summary: 'How the service is',
        description: 'Always 200 while the process serves; read `status`. Unknown query parameters are ignored.',
        querystring: Ignored,
        response: { 200: Health },
      },
    },
    (request, reply) => {
      const { database, eventCount, notReady, degraded, checks } = health()
      const isWell = notReady.length === 0 && degraded.length === 0
      reply.send({
        status: database === 'unhealthy' ? 'error' : isWell ? 'ok' : 'degraded',
        database,
        event_count: eventCount,
        version,
        uptime_seconds: Math.round(process.uptime() * 1000) / 1000,
        ...(request.grant.has('admin') ? { checks } : {}),
      })
    },
  )

  const live = (_request: FastifyRequest, reply: FastifyReply): void => {
    reply.type(JSON_TYPE).send('{"status":"ok"}')
  }
  const ready = (_request: FastifyRequest, reply: FastifyReply): void => {
    const { notReady } = health()
    if (notReady.length > 0) {
      throw new AppError('not_ready', `The service is not ready: ${notReady.join(', ')}.`, {
        members: { reasons: notReady },
      })
    }
    reply.type(JSON_TYPE).send('{"status":"ready"}')
  }

  for (const [url, operationId] of [
    ['/health/live', 'getLiveness'],
    ['/livez', 'getLivez'],
  ] as const) {
    const schema = {
      operationId,
      tags: ['health'],
      summary: 'Whether the process serves',
      description: 'Never asks the database.',
      querystring: Ignored,
      response: { 200: Type.Object({ status: Type.Literal('ok') }, { examples: [{ status: 'ok' }] }) },
    }
    app.get(url, { config: probe, schema }, live)
  }
  for (const [url, operationId] of [
    ['/health/ready', 'getReadiness'],
    ['/readyz', 'getReadyz'],
  ] as const) {
    const schema = {
      operationId,
      tags: ['health'],
      summary: 'Whether the service can do its work',
      description: 'From a check that is at most 2 s old; one query per interval, however many probes come.',
      querystring: Ignored,
      response: {
        200: Type.Object({ status: Type.Literal('ready') }, { examples: [{ status: 'ready' }] }),
        ...problems('not_ready'),
      },
    }
    app.get(url, { config: probe, schema }, ready)
  }
}
