// What tells a browser to keep its hands off: answers are data and no pages, and over TLS everything goes over TLS.

import type { FastifyReply, FastifyRequest } from 'fastify'

/** On every answer that a browser could be led to: those to GET and HEAD, and problems. */
export const BROWSER_HEADERS = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
} as const

// A year, as the preload lists ask for at least.
const STRICT_TRANSPORT_SECURITY = 'max-age=31536000; includeSubDomains'

/** Adds to each answer that goes over TLS, to us or to a proxy that is trusted to say so, that all others should too. */
export function hstsHeader(request: FastifyRequest, reply: FastifyReply): void {
  if (request.protocol === 'https') reply.header('strict-transport-security', STRICT_TRANSPORT_SECURITY)
}
