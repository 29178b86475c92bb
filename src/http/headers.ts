// What Node's parser lets through although HTTP forbids it, or although two readers could understand it differently.

import type { IncomingMessage } from 'node:http'
import { AppError } from '../errors.ts'

// Fields of which a second one would be dropped in silence.
const SINGLE = new Set(['host', 'content-type', 'authorization', 'content-length'])
const LONGEST_SINGLE = 14
// RFC 3986 host with an optional port; anything else in it is an attack or an accident.
const HOST = /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/

/** Why the head of a request can't be taken, if so. */
export function checkHeaders(request: IncomingMessage): AppError | undefined {
  const { rawHeaders, headers } = request
  if (request.httpVersionMajor !== 1) {
    return new AppError('http_version_not_supported', 'This service speaks HTTP/1.1.', CLOSE)
  }
  let seen = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length < 4 || name.length > LONGEST_SINGLE) continue
    const lower = name.toLowerCase()
    if (!SINGLE.has(lower)) continue
    const bit = 1 << lower.length
    if ((seen & bit) !== 0) return malformed(`The header ${name} is there twice.`)
    seen |= bit
  }
  const { host } = headers
  if (host === undefined) {
    if (request.httpVersion === '1.1') return malformed('The header Host is missing.')
  } else if (!HOST.test(host)) {
    return malformed('The header Host is not a host.')
  }
  const encoding = headers['transfer-encoding']
  if (encoding !== undefined) {
    if (encoding.toLowerCase() !== 'chunked') return malformed('Transfer-Encoding may only be chunked.')
    if (request.httpVersion === '1.0') return malformed('HTTP/1.0 knows no Transfer-Encoding.')
  }
  // A fragment stays with the client; the router would read it as a query.
  if (request.url?.includes('#')) return malformed('The target must not have a fragment.')
  return undefined
}

// Where a request is read in two ways, what follows on the connection can't be trusted.
const CLOSE = { headers: { connection: 'close' } }

const malformed = (detail: string): AppError => new AppError('malformed_request', detail, CLOSE)
