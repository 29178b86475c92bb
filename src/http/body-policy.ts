import type { IncomingMessage } from 'node:http'
import type { RouteOptions } from 'fastify'
import { AppError } from '../errors.ts'
import { bodyTooLarge } from './problems.ts'

/** Looks at the head of a request and says why its body can't be taken, if so. */
export type BodyPolicy = (request: IncomingMessage) => AppError | undefined

const WITH_BODY = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])
// The one parameter that is understood. Strict on purpose: a type that two parsers could read differently is refused.
const PARAMETERS = /^[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?$/i

/**
 * What a route takes as a body, as it declares it: nothing without a body schema, else JSON or its `bodyTypes`, as
 * they are (no Content-Encoding), in UTF-8, at most `bodyLimit` (default `maxBodyBytes`) bytes.
 */
export function bodyPolicy(route: RouteOptions, maxBodyBytes: number): BodyPolicy {
  const methods = [route.method].flat()
  const takesBody =
    methods.some((method) => WITH_BODY.has(method)) &&
    ((route.schema as { body?: unknown } | undefined)?.body !== undefined || route.config?.bodyTypes !== undefined)
  if (!takesBody) return refuseBody

  const types = route.config?.bodyTypes ?? ['application/json']
  const isOptional = route.config?.isBodyOptional === true
  const limit = route.bodyLimit ?? maxBodyBytes
  return (request) => {
    if (!hasBody(request)) {
      return isOptional ? undefined : new AppError('malformed_request', 'This route needs a body.')
    }
    const { 'content-type': type, 'content-encoding': encoding, 'content-length': length } = request.headers
    if (encoding !== undefined) {
      return unsupported(`A body with Content-Encoding is not taken.`)
    }
    if (!types.includes(type as string) && !types.some((each) => isType(type, each))) {
      return unsupported(`The body must be ${types.join(' or ')} in UTF-8.`)
    }
    if (length !== undefined && Number(length) > limit) return bodyTooLarge(limit)
    return undefined
  }
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined ||
  (headers['content-length'] !== undefined && headers['content-length'] !== '0')

const refuseBody: BodyPolicy = (request) =>
  hasBody(request) ? new AppError('malformed_request', 'This route takes no body.') : undefined

const isType = (given: string | undefined, type: string): boolean =>
  given !== undefined && given.slice(0, type.length).toLowerCase() === type && PARAMETERS.test(given.slice(type.length))

const unsupported = (detail: string): AppError => new AppError('unsupported_media_type', detail)
