import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { formatFor, type Scrape } from '../http/metrics-port.ts'
import { varyBy } from '../http/negotiate.ts'
import { problems } from './schemas.ts'

export interface MetricsRoutesOptions {
  scrape: Scrape
}

/** `GET /metrics`. */
export function metricsRoutes(app: FastifyInstance, { scrape }: MetricsRoutesOptions): void {
  app.get(
    '/metrics',
    {
      config: { scope: ['metrics', 'read'], isAlwaysOpen: true, isUnlimited: true, isNeverCached: true },
      schema: {
        operationId: 'getMetrics',
        tags: ['operations'],
        summary: 'Metrics for Prometheus',
        description: 'Prometheus text, or OpenMetrics by `Accept`. A scrape never waits for the database.',
        produces: ['text/plain', 'application/openmetrics-text'],
        response: { 200: Type.String(), ...problems('not_acceptable') },
      },
    },
    async (request, reply) => {
      const { contentType, body } = await scrape(formatFor(request.headers.accept))
      varyBy(reply, 'Accept')
      // A Buffer keeps the content type as it is.
      return reply.type(contentType).send(Buffer.from(body))
    },
  )
}
