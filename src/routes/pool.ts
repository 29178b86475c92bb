// The connection pool for the operator: how it is, and how large it should be.

import type { FastifyInstance } from 'fastify'
import type { PoolReport, SizingRequest } from '../db/connections/pool-report.ts'
import { PoolSchema, SizingParameters, SizingSchema } from './pool-schemas.ts'
import { problems } from './schemas.ts'

export interface PoolRoutesOptions {
  pool: PoolReport
}

/** `GET /pool` and `GET /pool/sizing`. Neither takes a connection of the pool. */
export function poolRoutes(app: FastifyInstance, { pool }: PoolRoutesOptions): void {
  app.get(
    '/pool',
    {
      config: { scope: 'admin', isNeverCached: true },
      schema: {
        operationId: 'getPool',
        tags: ['operations'],
        summary: 'How the connection pool is',
        description: 'Answers also while the pool is exhausted or the database is away.',
        response: { 200: PoolSchema },
      },
    },
    () => pool.read(),
  )

  app.get(
    '/pool/sizing',
    {
      config: { scope: 'admin', isNeverCached: true },
      schema: {
        operationId: 'getPoolSizing',
        tags: ['operations'],
        summary: 'How large the pool should be',
        querystring: SizingParameters,
        response: { 200: SizingSchema, ...problems('validation_failed') },
      },
    },
    (request) => pool.size(request.query as SizingRequest),
  )
}
