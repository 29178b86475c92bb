import type { FastifyBodyParser, FastifyInstance } from 'fastify'
import { validationFailed } from '../errors.ts'

/**
 * Replaces Fastify's body parsers by one that hands the bytes to `parse`. Which media types a route takes was decided
 * before (body-policy.ts), so one parser is enough; routes with `bodyTypes` get the bytes as they are.
 */
export function jsonBodies(app: FastifyInstance, parse: (body: Buffer) => unknown): void {
  app.removeAllContentTypeParsers()
  const parser: FastifyBodyParser<Buffer> = (request, body, done) => {
    const { config, schema } = request.routeOptions
    const { bodyTypes, isBodyOptional } = config
    const needsBody = isBodyOptional !== true && (schema?.body !== undefined || bodyTypes !== undefined)
    try {
      // Many clients tell a content type with every request.
      if (!needsBody && body.length === 0) return done(null, undefined)
      const value = bodyTypes === undefined ? parse(body) : body
      // Validation can't tell `null` from no body.
      if (isBodyOptional === true && value === null) throw validationFailed([{ pointer: '', rule: 'object' }])
      done(null, value)
    } catch (error) {
      done(error as Error, undefined)
    }
  }
  // By its name Fastify finds the usual type at once; for `*` it takes every header apart first.
  for (const type of ['application/json', '*']) app.addContentTypeParser<Buffer>(type, { parseAs: 'buffer' }, parser)
}
