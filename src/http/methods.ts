// 405 with Allow and 204 for OPTIONS on every path that exists. A router of its own knows the paths: routes of the framework for
// all methods that each path lacks, some 1,600, would take a tenth of the time that the service takes to start.

import { METHODS } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import findMyWay from 'find-my-way'
import { AppError } from '../errors.ts'
import { answerPreflight } from './cors.ts'

/** A path that exists, as a template, and the methods it knows. */
export interface KnownPath {
  url: string
  allowed: string
}

/** What a request without a route may have meant. */
export interface KnownPaths {
  find(url: string): KnownPath | undefined
}

const METHODS_OF_PATHS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']

/** Makes every method that Node parses routable, and notes the paths. Has to run before any route is added. */
export function knowAllMethods(app: FastifyInstance): KnownPaths {
  for (const method of METHODS) {
    if (!app.supportedMethods.includes(method)) app.addHttpMethod(method, { hasBody: false })
  }
  const methodsOf = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const methods = methodsOf.get(url) ?? new Set()
    methodsOf.set(url, methods)
    for (const each of [method].flat()) methods.add(each)
  })
  const router = findMyWay({ maxParamLength: Number.MAX_SAFE_INTEGER })
  app.addHook('onReady', async () => {
    for (const [url, methods] of methodsOf) {
      const allowed = [...METHODS_OF_PATHS.filter((method) => methods.has(method)), 'OPTIONS'].join(', ')
      router.on('GET', url, () => {}, { url, allowed } satisfies KnownPath)
    }
  })
  return { find: (url) => router.find('GET', url)?.store as KnownPath | undefined }
}

/** Answers a request for a path that exists, but not for its method; returns the problem instead when it is one. */
export function answerOtherMethod(
  { allowed }: KnownPath,
  request: FastifyRequest,
  reply: FastifyReply,
): AppError | undefined {
  if (request.method !== 'OPTIONS') return methodNotAllowed(request.method, allowed)
  answerPreflight(request, reply, allowed)
  reply.code(204).header('allow', allowed).send()
  return undefined
}

/** 405 `method_not_allowed` with `Allow`; `allowed` is a list with commas. */
export const methodNotAllowed = (method: string, allowed: string): AppError =>
  new AppError('method_not_allowed', `This route does not know ${method}; it knows ${allowed}.`, {
    headers: { allow: allowed },
  })
