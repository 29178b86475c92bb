// Which pages of other sites may use the service from a browser: none, unless they are named (`CORS_ALLOWED_ORIGINS`).
// Tokens travel in a header that a page sets itself, so credentials (cookies) are never allowed.

import type { FastifyReply, FastifyRequest } from 'fastify'
import { varyBy } from './negotiate.ts'
import type { Origins } from './origins.ts'

const ALLOWED_HEADERS =
  'Accept, Annals-Epoch, Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID, X-Request-Id'
// What a page may read beside the body.
const EXPOSED_HEADERS = [
  ...['ETag', 'Link', 'Location', 'Retry-After', 'X-Request-Id', 'Idempotent-Replayed', 'Annals-Epoch'],
  ...['RateLimit', 'RateLimit-Policy', 'RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset'],
].join(', ')
const PREFLIGHT_SECONDS = '600'

/** Adds to each answer whether the page that asked may read it. */
export function corsHeaders(origins: Origins) {
  const isOpenToAll = origins.has('*')
  return (request: FastifyRequest, reply: FastifyReply): void => {
    const { origin } = request.headers
    // A cache must not hand the answer for one origin to another, nor that for none.
    if (!isOpenToAll) varyBy(reply, 'Origin')
    if (origin === undefined || !(isOpenToAll || origins.has(origin))) return
    reply.header('access-control-allow-origin', isOpenToAll ? '*' : origin)
    reply.header('access-control-expose-headers', EXPOSED_HEADERS)
  }
}

/** Completes the answer to a preflight; `methods` are those of the path. To be called after {@link corsHeaders}. */
export function answerPreflight(request: FastifyRequest, reply: FastifyReply, methods: string): void {
  const isPreflight = request.headers['access-control-request-method'] !== undefined
  if (!isPreflight || !reply.hasHeader('access-control-allow-origin')) return
  reply.removeHeader('access-control-expose-headers')
  reply.header('access-control-allow-methods', methods)
  reply.header('access-control-allow-headers', ALLOWED_HEADERS)
  reply.header('access-control-max-age', PREFLIGHT_SECONDS)
}
