// The description of the API, as a document and as a page to read and try it.

import swaggerUi from '@fastify/swagger-ui'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'

const PAGE = '/docs'

// Everything comes from this service; nothing runs inline, and no other site can frame the page.
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Declares the routes of the page, which its plugin adds, open to everybody. Has to run before the edge. */
export function openDocsPage(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (route.url !== PAGE && !route.url.startsWith(`${PAGE}/`)) return
    route.config = { scope: null, isAlwaysOpen: true, ...route.config }
  })
}

/** `GET /openapi.json` and the page at `/docs`. */
export async function docsRoutes(app: FastifyInstance): Promise<void> {
  let document: Buffer | undefined
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
      document ??= Buffer.from(JSON.stringify(app.swagger()))
      reply.type('application/json; charset=utf-8').send(document)
    },
  )

  await app.register(swaggerUi, {
    routePrefix: PAGE,
    staticCSP: CONTENT_SECURITY_POLICY,
    theme: { title: 'Annals' },
    uiConfig: {
      layout: 'BaseLayout',
      docExpansion: 'list',
      tryItOutEnabled: true,
      displayRequestDuration: true,
      defaultModelsExpandDepth: 0,
    },
  })
}
