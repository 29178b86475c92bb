import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { negotiate } from '../http/negotiate.ts'

export interface MetricsRoutesOptions {
  /** All metrics as text of one of the two formats, with its content type. */
  scrape(format: 'prometheus' | 'openmetrics'): Promise<{ contentType: string; body: string }>
}

/** The format that a scraper asks for by `Accept`. @throws AppError `not_acceptable` */
export const formatFor = (accept: string | undefined): 'prometheus' | 'openmetrics' =>
  negotiate(accept, ['text/plain', 'application/openmetrics-text']) === 'text/plain' ? 'prometheus' : 'openmetrics'

/** `GET /metrics`. */
export function metricsRoutes(app: FastifyInstance, { scrape }: MetricsRoutesOptions): void {
  app.get(
    '/metrics',
    {
      config: { scope: ['metrics', 'read'], isAlwaysOpen: true, isNeverCached: true },
      schema: {
        operationId: 'getMetrics',
        tags: ['operate'],
        summary: 'Metrics for Prometheus',
        description: 'Prometheus text, or OpenMetrics by `Accept`. A scrape never waits for the database.',
        produces: ['text/plain', 'application/openmetrics-text'],
        response: { 200: Type.String() },
      },
    },
    async (request, reply) => {
      const { contentType, body } = await scrape(formatFor(request.headers.accept))
      // A Buffer keeps the content type as it is.
      return reply.header('vary', 'Accept').type(contentType).send(Buffer.from(body))
    },
  )
}
