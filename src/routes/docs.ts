import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'

export interface DocsRoutesOptions {
  /** The OpenAPI document; asked for once, after all routes are there. */
  document(): unknown
}

/** `GET /openapi.json`. */
export function docsRoutes(app: FastifyInstance, { document }: DocsRoutesOptions): void {
  let text: Buffer | undefined
  app.get(
    '/openapi.json',
    {
      config: { scope: null, isAlwaysOpen: true },
      schema: {
        operationId: 'getOpenApi',
        tags: ['documents'],
        summary: 'This description',
        response: { 200: Type.Object({}, { additionalProperties: true, description: 'OpenAPI 3.1' }) },
      },
    },
    (_request, reply) => {
      text ??= Buffer.from(JSON.stringify(document()))
      reply.type('application/json; charset=utf-8').send(text)
    },
  )
}
