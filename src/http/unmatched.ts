// Requests that lead to no route: unknown paths, methods that a path lacks, and targets that can't be decoded.

import type { FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import { type EdgeOptions, enterWithoutRoute } from './edge.ts'
import { checkHeaders } from './headers.ts'
import { answerOtherMethod, type KnownPaths } from './methods.ts'
import { sendProblem } from './problems.ts'

/** Answers 404, 405 or OPTIONS before a body is read; for the `onRequest` hook of the not-found handler. */
export function answerNotFound(options: EdgeOptions, paths: KnownPaths) {
  return (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    const path = paths.find(request.raw.url ?? '')
    enterWithoutRoute(request, reply, options, path?.url)
    const error = checkHeaders(request.raw)
    const answer = (tooMany?: AppError): void => {
      const refusal = tooMany ?? error
      if (refusal !== undefined) return done(refusal)
      if (isServerWide(request)) return answerServerWide(reply)
      if (path === undefined) return done(routeNotFound())
      const problem = answerOtherMethod(path, request, reply)
      if (problem !== undefined) done(problem)
    }
    if (options.rateLimit === undefined) answer()
    else options.rateLimit(request, reply, answer)
  }
}

/** Fastify's `frameworkErrors`: the router could not read the path. */
export function answerBadTarget(options: EdgeOptions) {
  return (_error: Error, request: FastifyRequest, reply: FastifyReply): void => {
    enterWithoutRoute(request, reply, options)
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

/** 404 `route_not_found`. */
export const routeNotFound = (): AppError =>
  new AppError(
    'route_not_found',
    'Nothing is served at this path. The page /docs lists all routes, /openapi.json describes them.',
  )

function badTarget(url: string): AppError {
  if (!/^(https?:\/\/[^/]*)?\/streams\/[^/?]/.test(url)) {
    return new AppError('malformed_request', 'The path is not percent-encoded UTF-8.')
  }
  return new AppError('stream_id_invalid', 'The stream id in the path is not percent-encoded UTF-8.', {
    members: { errors: [{ pointer: 'path/stream_id', rule: 'bad_encoding' }] },
  })
}
