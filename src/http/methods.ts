// 405 with Allow and 204 for OPTIONS on every path that exists: one more route per path, for all methods it lacks.

import { METHODS } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'
import { AppError } from '../errors.ts'

/** Makes every method that Node parses routable. Has to run before any route is added. */
export function knowAllMethods(app: FastifyInstance): Map<string, Set<string>> {
  for (const method of METHODS) {
    if (!app.supportedMethods.includes(method)) app.addHttpMethod(method, { hasBody: false })
  }
  const methodsByPath = new Map<string, Set<string>>()
  app.addHook('onRoute', (route) => {
    if (route.config?.isMethodFallback === true) return
    const methods = methodsByPath.get(route.url) ?? new Set()
    for (const method of [route.method].flat()) methods.add(method)
    methodsByPath.set(route.url, methods)
  })
  return methodsByPath
}

/** Adds the fallbacks; has to run after all other routes were added. */
export function methodFallbacks(app: FastifyInstance, methodsByPath: Map<string, Set<string>>): void {
  for (const [url, methods] of [...methodsByPath]) {
    const allow = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((each) => methods.has(each))
    const allowed = [...allow, 'OPTIONS'].join(', ')
    app.route({
      method: app.supportedMethods.filter((each) => !methods.has(each) && each !== 'CONNECT') as HTTPMethods[],
      url,
      schema: { hide: true },
      config: { scope: null, isMethodFallback: true, isAlwaysOpen: true },
      onRequest: (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
        if (request.method !== 'OPTIONS') return done(methodNotAllowed(request.method, allowed))
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
