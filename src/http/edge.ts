// What happens to every request before its route: counted, checked, authorised. Each route gets a function of its
// own that closes over what it declared, so nothing has to be looked up per request.

import { type TSchema, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { refuseConditions } from '../contract/preconditions.ts'
import { AppError } from '../errors.ts'
import type { Authorizer, RouteScope } from './authorizer.ts'
import { bodyPolicy } from './body-policy.ts'
import { BROWSER_HEADERS } from './browser-headers.ts'
import { checkHeaders } from './headers.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { RateLimit } from './rate-limit.ts'
import { type RequestReporter, requestEnds } from './request-report.ts'
import type { Grant } from './scopes.ts'
import { isSurplus } from './turns.ts'
import { validatorCompiler } from './validation.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Scopes of which one is needed; null: open to everybody. Every route has to say. */
    scope?: RouteScope
    /** Media types that the body may have; `application/json` when absent. */
    bodyTypes?: readonly string[]
    /** The route takes a request without a body. */
    isBodyOptional?: boolean
    /** Answered in every phase of the service: probes, metrics, documents. */
    isAlwaysOpen?: boolean
    /** Not counted by the rate limit: probes and metrics. */
    isUnlimited?: boolean
    /** Answers carry `Cache-Control: no-store`. */
    isNeverCached?: boolean
    /** Media types that a success can have beside JSON, a line or an event at a time; documents only. */
    streamTypes?: readonly string[]
    /** The body is checked by the route; its schema documents. */
    checksBody?: boolean
    /** May take longer than `REQUEST_TIMEOUT_MS`. */
    takesTime?: boolean
    /** `If-Match` and `If-None-Match` are read by the route; every other one that changes something refuses them. */
    takesConditions?: boolean
  }
  interface FastifyRequest {
    /** What the caller may do. */
    grant: Grant
    /** Stands for the token of the caller; undefined without one. */
    callerKey: string | undefined
  }
}

export interface EdgeOptions {
  lifecycle: Lifecycle
  authorizer: Authorizer
  reporter: RequestReporter
  maxBodyBytes: number
  /** Adds headers that depend on who asks; undefined when there are none. */
  dress?: ((request: FastifyRequest, reply: FastifyReply) => void) | undefined
  /** Undefined for no limit. */
  rateLimit?: RateLimit | undefined
  /** Told about each append that was refused because too many requests waited. */
  onSurplus(): void
}

/** Adds the edge to every route that is registered after it. @throws Error for a route without a scope */
export function edge(app: FastifyInstance, options: EdgeOptions): void {
  app.decorateRequest('grant', null as unknown as Grant)
  app.decorateRequest('callerKey', undefined)
  app.addHook('onRoute', (route) => {
    const config = route.config ?? {}
    if (config.scope === undefined) throw new Error(`${String(route.method)} ${route.url} declares no scope`)
    route.schema = { querystring: Type.Object({}, { additionalProperties: false }), ...route.schema }
    route.validatorCompiler = validatorCompiler(
      () => Object.values(app.getSchemas()) as TSchema[],
      config,
    ) as NonNullable<typeof route.validatorCompiler>
    route.onRequest = [enterRoute(route, options), ...[route.onRequest ?? []].flat()]
  })
}

/** The edge of a request that leads to no route; `path` is the template of a path that exists for other methods. */
export const enterWithoutRoute = (
  request: FastifyRequest,
  reply: FastifyReply,
  options: EdgeOptions,
  path = 'unmatched',
): void => enter(request, reply, options, path)

function enterRoute(route: RouteOptions, options: EdgeOptions) {
  const { lifecycle, authorizer } = options
  const {
    isAlwaysOpen = false,
    isNeverCached = false,
    takesTime = false,
    takesConditions = false,
    scope,
  } = route.config ?? {}
  const checkBody = bodyPolicy(route, options.maxBodyBytes)
  const authorize = authorizer.forScope(scope as RouteScope)
  const rateLimit = route.config?.isUnlimited === true ? undefined : options.rateLimit
  const isRead = [route.method].flat().some((method) => method === 'GET' || method === 'HEAD')
  // Reads only wait: they leave nothing behind that others would have to wait for.
  const isAppend = scope === 'append' && route.method === 'POST'
  const checkConditions = isRead || takesConditions ? undefined : refuseConditions

  return (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    enter(request, reply, options, route.url)
    if (takesTime) lifecycle.takeTime(reply.raw)
    if (isRead) reply.headers(BROWSER_HEADERS)
    if (isNeverCached) reply.header('cache-control', 'no-store')
    const error =
      checkHeaders(request.raw) ??
      authorize(request) ??
      (isAlwaysOpen ? undefined : lifecycle.refusal()) ??
      (isAppend && isSurplus(reply.raw) ? overloaded(options) : undefined) ??
      checkBody(request.raw) ??
      checkConditions?.(request.headers)
    if (rateLimit !== undefined) rateLimit(request, reply, (tooMany) => done(tooMany ?? error))
    else if (error === undefined) done()
    else done(error)
  }
}

function overloaded({ onSurplus }: EdgeOptions): AppError {
  onSurplus()
  return new AppError('overloaded', 'Too many requests are waiting.')
}

function enter(request: FastifyRequest, reply: FastifyReply, options: EdgeOptions, route: string): void {
  const response = reply.raw
  reply.header('x-request-id', request.id)
  reply.header('x-content-type-options', 'nosniff')
  options.dress?.(request, reply)
  if (options.lifecycle.isDraining) reply.header('connection', 'close')
  options.lifecycle.enter(response)
  options.reporter.begin(request.raw, response, request.id, route)
  response.on('close', () => {
    options.lifecycle.exit(response)
    requestEnds(response)
  })
}
