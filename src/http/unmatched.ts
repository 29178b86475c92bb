// Requests whose target leads to no route: unknown paths, and targets that can't be decoded.

import type { FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import { type EdgeOptions, enterUnmatched } from './edge.ts'
import { checkHeaders } from './headers.ts'
import { sendProblem } from './problems.ts'

/** Answers 404 before a body is read; for the `onRequest` hook of the not-found handler. */
export function answerNotFound(options: EdgeOptions) {
  return (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    enterUnmatched(request, reply, options)
    const error = checkHeaders(request.raw)
    const answer = (tooMany?: AppError): void => {
      if (tooMany === undefined && error === undefined && isServerWide(request)) answerServerWide(reply)
      else done(tooMany ?? error ?? routeNotFound())
    }
    if (options.rateLimit === undefined) answer()
    else options.rateLimit(request, reply, answer)
  }
}

/** Fastify's `frameworkErrors`: the router could not read the path. */
export function answerBadTarget(options: EdgeOptions) {
  return (_error: Error, request: FastifyRequest, reply: FastifyReply): void => {
    enterUnmatched(request, reply, options)
    const answer = (tooMany?: AppError): void =>
      sendProblem(reply, tooMany ?? checkHeaders(request.raw) ?? badTarget(request.raw.url ?? ''))
    if (options.rateLimit === undefined) answer()
    else options.rateLimit(request, reply, answer)
  }
}

// `OPTIONS *` asks about the server as a whole.
const isServerWide = ({ raw }: FastifyRequest): boolean => raw.url === '*' && raw.method === 'OPTIONS'

function answerServerWide(reply: FastifyReply): void {
  reply.code(204).header('allow', ALL_METHODS).send()
}

/** Every method that some route knows. */
export const ALL_METHODS = 'GET, HEAD, POST, PUT, DELETE, OPTIONS'

export const routeNotFound = (): AppError => new AppError('route_not_found', 'There is no such route.')

function badTarget(url: string): AppError {
  if (!/^(https?:\/\/[^/]*)?\/streams\/[^/?]/.test(url)) {
    return new AppError('malformed_request', 'The path is not percent-encoded UTF-8.')
  }
  return new AppError('stream_id_invalid', 'The stream id in the path is not percent-encoded UTF-8.', {
    members: { errors: [{ pointer: 'path/stream_id', rule: 'bad_encoding' }] },
  })
}
