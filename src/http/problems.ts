// Every answer that is not a success leaves through here, as application/problem+json.

import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { AppError, ERRORS, problemJson } from '../errors.ts'
import { BROWSER_HEADERS } from './browser-headers.ts'
import type { Lifecycle } from './lifecycle.ts'
import { wasRefused } from './turns.ts'

const PROBLEM_TYPE = 'application/problem+json'
const RETRY_AFTER_SECONDS = '1'

/** The status line, headers and body of a problem; also for sockets that never got a request object. */
export function renderProblem(error: AppError, requestId: string): { headers: Record<string, string>; body: Buffer } {
  const headers: Record<string, string> = {
    'content-type': PROBLEM_TYPE,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-request-id': requestId,
    ...BROWSER_HEADERS,
    ...(ERRORS[error.code].retryable ? { 'retry-after': RETRY_AFTER_SECONDS } : {}),
    ...error.headers,
  }
  return { headers, body: Buffer.from(problemJson(error, requestId)) }
}

/** Answers a request with a problem. A Buffer, because Fastify appends a charset to the type of a string. */
export function sendProblem(reply: FastifyReply, error: AppError): void {
  const { headers, body } = renderProblem(error, reply.request.id)
  if (error.code === 'overloaded') wasRefused(reply.raw)
  reply.code(error.status).headers(headers).send(body)
}

/**
 * Fastify's error handler: our own errors as they are, the framework's by their meaning, everything else as
 * `internal` with nothing but the request id, and the whole error in the log.
 */
export function errorHandler(log: Logger, lifecycle: Lifecycle, maxBodyBytes: number) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const problem = toAppError(error, maxBodyBytes)
    if (problem.code === 'internal') {
      log.error({ err: problem.cause ?? problem, request_id: request.id, method: request.method }, 'request failed')
    }
    // The parser asks for the connection to be closed after any refused body. What is left of the body is read and
    // dropped instead: a close with unread bytes resets the connection, and the client would never see the answer.
    if (!lifecycle.isDraining && reply.hasHeader('connection')) reply.removeHeader('connection')
    sendProblem(reply, problem)
  }
}

function toAppError(error: unknown, maxBodyBytes: number): AppError {
  if (error instanceof AppError) return error
  const { code, statusCode } = error as Partial<FastifyError>
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return bodyTooLarge(maxBodyBytes)
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new AppError('unsupported_media_type', 'This route takes no body of this media type.')
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new AppError('malformed_request', 'The body is not as long as Content-Length says.')
    case 'FST_ERR_NOT_FOUND':
      // Our own handler answers for paths; this is a method that only Node's parser knows, such as those of RTSP.
      return new AppError('malformed_request', 'The method is none of HTTP.')
    case 'FST_STATIC_FORBIDDEN_PATH':
      // A file beside those of the documentation page: what is not served is not there.
      return new AppError('route_not_found', 'The page /docs has no such file.')
    case 'ECONNRESET':
      // The client went away before its request was whole; nobody reads this answer.
      return new AppError('malformed_request', 'The request ended early.')
    default:
  }
  if (code?.startsWith('FST_ERR_CTP') && statusCode !== undefined && statusCode < 500) {
    return new AppError('malformed_request', 'The body can not be read.')
  }
  return new AppError('internal', 'The service failed to answer; the log says more.', { cause: error })
}

/** 413 `payload_too_large`. */
export const bodyTooLarge = (limitBytes: number): AppError =>
  new AppError('payload_too_large', `The body is larger than ${limitBytes} bytes.`, {
    members: { limit_bytes: limitBytes },
  })
