import type { FastifyInstance } from 'fastify'

/**
 * Replaces Fastify's body parsers by one that hands the bytes to `parse`. Which media types a route takes was decided
 * before (body-policy.ts), so one parser is enough; routes with `bodyTypes` get the bytes as they are.
 */
export function jsonBodies(app: FastifyInstance, parse: (body: Buffer) => unknown): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser<Buffer>('*', { parseAs: 'buffer' }, (request, body, done) => {
    const { bodyTypes, isBodyOptional } = request.routeOptions.config
    try {
      if (isBodyOptional === true && body.length === 0) done(null, undefined)
      else done(null, bodyTypes === undefined ? parse(body) : body)
    } catch (error) {
      done(error as Error, undefined)
    }
  })
}
