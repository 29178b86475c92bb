import type { FastifyInstance } from 'fastify'
import { bodyTooLarge } from './problems.ts'

/** Takes a body up while it arrives; it never throws, and says later what was wrong. */
export interface BodyReader {
  add(chunk: Buffer): void
}

/**
 * The routes of `app` get as `request.body` what `open` makes, once it was given the whole body. For large bodies, whose
 * reading then goes on while the network brings the rest. Which media types a route takes is in body-policy.ts.
 */
export function streamedBodies(app: FastifyInstance, open: () => BodyReader): void {
  const limitBytes = app.initialConfig.bodyLimit as number
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => {
    const reader = open()
    let bytes = 0
    const onData = (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > limitBytes) return finish(bodyTooLarge(limitBytes))
      reader.add(chunk)
      // Node would hand over megabytes without looking at anything else meanwhile, such as what waits to be sent.
      payload.pause()
      setImmediate(() => payload.resume())
    }
    const onEnd = () => finish(null)
    const finish = (error: Error | null) => {
      payload.off('data', onData).off('end', onEnd).off('error', finish)
      done(error, reader)
    }
    payload.on('data', onData).on('end', onEnd).on('error', finish)
  })
}
