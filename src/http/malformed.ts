// Requests that Node refuses before there is a request object, or on its own: answered as problems like all others.

import { type IncomingMessage, maxHeaderSize, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { AppError } from '../errors.ts'
import { renderProblem } from './problems.ts'
import { newRequestId, requestIdOf } from './request-id.ts'
import { ALL_METHODS } from './unmatched.ts'

interface ParserError extends Error {
  code?: string
  rawPacket?: Buffer
}

/** Called with the status of each such answer. */
export type OnMalformed = (status: number) => void

/**
 * Answers what Node's parser rejects, unknown expectations and CONNECT on `server`, instead of its bare defaults.
 * `maxBodyBytes` lets a too large body be refused before the client was told to send it.
 */
export function answerMalformed(server: Server, maxBodyBytes: number, onMalformed: OnMalformed): void {
  // Node drops what comes after 2,000 headers in silence, an `If-Match` too; their size is limited anyway.
  server.maxHeadersCount = 0
  const answered = new WeakSet<Socket>()
  server.on('clientError', (error: ParserError, socket: Socket & { _httpMessage?: ServerResponse | null }) => {
    // What still arrives after the answer is dropped.
    if (answered.has(socket)) return
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    answered.add(socket)
    const problem = problemOf(error)
    onMalformed(problem.status)
    const answer = () => endWith(socket, problem, newRequestId())
    const current = socket._httpMessage
    if (current === undefined || current === null) answer()
    // What came behind a whole request is answered after it.
    else if (current.req.complete) current.once('finish', answer)
    // Bytes in the middle of an answer would only corrupt it.
    else if (current.headersSent) socket.destroy()
    else answer()
  })
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    const length = Number(request.headers['content-length'] ?? 0)
    if (length <= maxBodyBytes) response.writeContinue()
    server.emit('request', request, response)
  })
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    const problem = new AppError('expectation_failed', 'Only `Expect: 100-continue` is understood.')
    const { headers, body } = renderProblem(problem, requestIdOf(request.headers))
    onMalformed(problem.status)
    response.writeHead(problem.status, { ...headers, connection: 'close', 'content-length': body.length }).end(body)
  })
  server.on('connect', (request: IncomingMessage, socket: Duplex) => {
    const problem = new AppError('method_not_allowed', 'This service is no proxy.', {
      headers: { allow: ALL_METHODS },
    })
    onMalformed(problem.status)
    endWith(socket, problem, requestIdOf(request.headers))
  })
}

function problemOf(error: ParserError): AppError {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return isTargetTooLong(error.rawPacket)
        ? new AppError('uri_too_long', `The request line is longer than the ${maxHeaderSize} bytes that are read.`)
        : new AppError('headers_too_large', `The headers are larger than ${maxHeaderSize} bytes.`)
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new AppError('payload_too_large', 'The chunk extensions of the body are too large.', {
        members: { limit_bytes: maxHeaderSize },
      })
    case 'HPE_INVALID_VERSION':
      // The parser says so of whatever is no `HTTP/1.1` and CR LF; another version has to be well-formed as well.
      return OTHER_VERSION.test(error.rawPacket?.toString('latin1') ?? '') ? versionNotSupported() : malformed()
    case 'HPE_PAUSED_H2_UPGRADE':
      return versionNotSupported()
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new AppError('request_timeout', 'The request did not arrive in time.')
    default:
      return malformed()
  }
}

const OTHER_VERSION = / HTTP\/(?!1\.[01]\r?\n)\d+(\.\d+)?\r?\n/

const malformed = (): AppError => new AppError('malformed_request', 'The request is not well-formed HTTP.')

const versionNotSupported = (): AppError => new AppError('http_version_not_supported', 'This service speaks HTTP/1.1.')

// The parser only counts bytes; whether the target or the headers were too many shows in the first line.
function isTargetTooLong(packet: Buffer | undefined): boolean {
  if (packet === undefined) return false
  const lineEnd = packet.indexOf('\n')
  const line = lineEnd === -1 ? packet.length : lineEnd
  return line > maxHeaderSize / 2 && /^[A-Z-]+ [^ ]/.test(packet.toString('latin1', 0, 64))
}

// A close with unread bytes resets the connection and can take the answer with it, so our side ends first, what still
// comes is dropped, and only then the socket goes.
const LINGER_MS = 1_000

function endWith(socket: Duplex, problem: AppError, requestId: string): void {
  const { headers, body } = renderProblem(problem, requestId)
  const lines = Object.entries({
    ...headers,
    date: new Date().toUTCString(),
    connection: 'close',
    'content-length': String(body.length),
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.on('error', () => socket.destroy())
  socket.write(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\n${lines.join('')}\r\n`)
  socket.end(body)
  socket.resume()
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
}
