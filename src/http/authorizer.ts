// Who may do what. Two modes: with tokens every route asks for one of its scopes; without any the service listens on
// loopback only and trusts whoever is on the machine, but not the web pages in their browsers.

import type { FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import { type Grant, SCOPES, type Scope, type Tokens } from './tokens.ts'

/** One scope, or several of which one is enough; null: open to everybody. */
export type RouteScope = Scope | readonly Scope[] | null

/** Says why a request is not allowed, if so, and sets its grant. */
export type Authorize = (request: FastifyRequest) => AppError | undefined

export interface Authorizer {
  forScope(scope: RouteScope): Authorize
}

const NOBODY: Grant = new Set()
const EVERYTHING: Grant = new Set(SCOPES)
const BEARER = /^bearer[ \t]+([\x21-\x7e]+)[ \t]*$/i

/** Asks for a token on every route that has a scope. */
export function tokenAuthorizer(tokens: Tokens): Authorizer {
  const grantOf = (request: FastifyRequest): Grant | undefined => {
    const [, token] = BEARER.exec(request.headers.authorization ?? '') ?? []
    if (token === undefined) return undefined
    const grant = tokens.grantOf(token)
    return grant.size === 0 ? undefined : grant
  }
  return {
    forScope(scope) {
      if (scope === null) {
        return (request) => {
          request.grant = grantOf(request) ?? NOBODY
          return undefined
        }
      }
      const scopes = [scope].flat() as Scope[]
      return (request) => {
        const grant = grantOf(request)
        if (grant === undefined) return unauthenticated(request)
        request.grant = grant
        return scopes.some((each) => grant.has(each)) ? undefined : forbidden(scopes)
      }
    },
  }
}

/**
 * Allows everything to callers on this machine. The `Host` has to be a loopback name, or a page whose name is made to
 * point at 127.0.0.1 (DNS rebinding) could read the store; and what a browser says comes from another site is refused.
 */
export function loopbackAuthorizer(): Authorizer {
  const authorize: Authorize = (request) => {
    request.grant = EVERYTHING
    const { host, origin } = request.headers
    if (host !== undefined && !isLoopbackHost(host)) return notLocal('Host')
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

const unauthenticated = (request: FastifyRequest): AppError =>
  new AppError(
    'unauthenticated',
    request.headers.authorization === undefined
      ? 'This route needs a token.'
      : 'The Authorization header holds no token that is known here.',
    { headers: { 'www-authenticate': 'Bearer' } },
  )

const forbidden = (scopes: readonly Scope[]): AppError =>
  new AppError('forbidden', `The token lacks the scope ${scopes.join(' or ')}.`, { members: { scope: scopes[0] } })

const notLocal = (header: string): AppError =>
  new AppError(
    'forbidden',
    `Without tokens the service answers this machine only, and the header ${header} names another one. Set ANNALS_TOKENS to serve others.`,
    { members: { scope: null } },
  )
