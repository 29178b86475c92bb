// 405 with Allow and 204 for OPTIONS on every path that exists: one more route per path, for all methods it lacks.

import { METHODS } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'
import { AppError } from '../errors.ts'
import { answerPreflight } from './cors.ts'

/** Makes every method that Node parses routable, and notes the paths. Has to run before any route is added. */
export function knowAllMethods(app: FastifyInstance): Set<string> {
  for (const method of METHODS) {
    if (!app.supportedMethods.includes(method)) app.addHttpMethod(method, { hasBody: false })
  }
  const paths = new Set<string>()
  app.addHook('onRoute', ({ url, config }) => {
    if (config?.isMethodFallback !== true) paths.add(url)
  })
  return paths
}

/** Adds the fallbacks; has to run after all other routes were added. */
export function methodFallbacks(app: FastifyInstance, paths: Set<string>): void {
  for (const url of paths) {
    const methods = app.supportedMethods as HTTPMethods[]
    const missing = methods.filter((method) => method !== 'CONNECT' && !app.hasRoute({ method, url }))
    const known = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
    const allowed = [...known.filter((method) => !missing.includes(method)), 'OPTIONS'].join(', ')
    app.route({
      method: missing,
      url,
      schema: { hide: true },
      config: { scope: null, isMethodFallback: true, isAlwaysOpen: true },
      onRequest: (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
        if (request.method !== 'OPTIONS') return done(methodNotAllowed(request.method, allowed))
        answerPreflight(request, reply, allowed)
        reply.code(204).header('allow', allowed).send()
      },
      // Never reached: the hook above answers, so that no body is read first.
      handler: (request) => {
        throw methodNotAllowed(request.method, allowed)
      },
    })
  }
}

export const methodNotAllowed = (method: string, allowed: string): AppError =>
  new AppError('method_not_allowed', `This route does not know ${method}; it knows ${allowed}.`, {
    headers: { allow: allowed },
  })
