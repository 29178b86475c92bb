import { randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

const SANE = /^[A-Za-z0-9._-]{1,128}$/

// Unique without a random number per request: one random prefix per process, then a counter.
const prefix = randomBytes(6).toString('hex')
let count = 0

/** The caller's `X-Request-Id` when it is sane, else a new one. */
export function requestIdOf(headers: IncomingHttpHeaders): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && SANE.test(given) ? given : newRequestId()
}

/** An id that no other request has, also not in another process. */
export function newRequestId(): string {
  count += 1
  return `${prefix}-${count.toString(36)}`
}
