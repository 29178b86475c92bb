// Who may do what. Two modes: with tokens every route asks for one of its scopes; without any the service listens on
// loopback only and trusts whoever is on the machine, but not the web pages in their browsers.

import type { FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import type { Jwts } from './jwts.ts'
import type { Origins } from './origins.ts'
import { type Caller, EVERYTHING, NOTHING, type Scope } from './scopes.ts'
import { digestOf, type Tokens } from './tokens.ts'

/** One scope, or several of which one is enough; null: open to everybody. */
export type RouteScope = Scope | readonly Scope[] | null

/** Says why a request is not allowed, if so, and sets its grant. */
export type Authorize = (request: FastifyRequest) => AppError | undefined

export interface Authorizer {
  forScope(scope: RouteScope): Authorize
}

const BEARER = /^bearer[ \t]+([\x21-\x7e]+)[ \t]*$/i

/** Asks for a token on every route that has a scope: one of `tokens`, or a JSON Web Token. */
export function tokenAuthorizer(tokens: Tokens, jwts?: Jwts): Authorizer {
  const identify = (request: FastifyRequest): Caller | string => {
    const { authorization } = request.headers
    if (authorization === undefined) return 'This route needs a token.'
    const [, token] = BEARER.exec(authorization) ?? []
    if (token === undefined) return UNKNOWN
    const digest = digestOf(token)
    return tokens.holderOf(digest) ?? jwts?.read(token, digest) ?? UNKNOWN
  }
  const enter = (request: FastifyRequest): string | undefined => {
    const caller = identify(request)
    const isKnown = typeof caller !== 'string'
    request.grant = isKnown ? caller.grant : NOTHING
    request.callerKey = isKnown ? caller.key : undefined
    return isKnown ? undefined : caller
  }
  return {
    forScope(scope) {
      if (scope === null) {
        return (request) => {
          enter(request)
          return undefined
        }
      }
      const scopes = [scope].flat() as Scope[]
      return (request) => {
        const reason = enter(request)
        if (reason !== undefined) return unauthenticated(reason)
        return scopes.some((each) => request.grant.has(each)) ? undefined : forbidden(scopes)
      }
    },
  }
}

/**
 * Allows everything to callers on this machine. The `Host` has to be a loopback name, or a page whose name is made to
 * point at 127.0.0.1 (DNS rebinding) could read the store; and what a browser says comes from another site is refused,
 * unless the site is one of `origins`.
 */
export function loopbackAuthorizer(origins?: Origins): Authorizer {
  const authorize: Authorize = (request) => {
    request.grant = EVERYTHING
    const { host, origin } = request.headers
    if (host !== undefined && !isLoopbackHost(host)) return notLocal('Host')
    if (origin !== undefined && origins?.has(origin) === true) return undefined
    if (origin !== undefined && !isLoopbackHost(origin.replace(/^https?:\/\//, ''))) return notLocal('Origin')
    if (request.headers['sec-fetch-site'] === 'cross-site' && !isNavigation(request)) return notLocal('Sec-Fetch-Site')
    return undefined
  }
  return { forScope: () => authorize }
}

// Somebody followed a link; the page it was on gets to see nothing.
const isNavigation = ({ method, headers }: FastifyRequest): boolean =>
  (method === 'GET' || method === 'HEAD') && headers['sec-fetch-mode'] === 'navigate'

/** Whether `host`, with or without a port, can only be this machine. */
export function isLoopbackHost(host: string): boolean {
  const [, name = ''] = /^(\[[0-9a-f:.]+\]|[^:/]*)(?::\d{1,5})?$/i.exec(host) ?? []
  return isLoopbackName(name.replace(/^\[|\]$/g, ''))
}

/** Whether a name or address to listen on is loopback. */
export function isLoopbackName(name: string): boolean {
  const lower = name.toLowerCase().replace(/\.$/, '')
  return (
    lower === 'localhost' ||
    lower.endsWith('.localhost') ||
    lower === '::1' ||
    /^(::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(lower)
  )
}

const UNKNOWN = 'The Authorization header holds no token that is known here.'

const unauthenticated = (reason: string): AppError =>
  new AppError('unauthenticated', reason, { headers: { 'www-authenticate': 'Bearer' } })

const forbidden = (scopes: readonly Scope[]): AppError =>
  new AppError('forbidden', `The token lacks the scope ${scopes.join(' or ')}.`, { members: { scope: scopes[0] } })

const notLocal = (header: string): AppError =>
  new AppError(
    'forbidden',
    `Without tokens the service answers this machine only, and the header ${header} names another one. Set ANNALS_TOKENS to serve others.`,
    { members: { scope: null } },
  )
