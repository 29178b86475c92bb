import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'

/**
 * Sends an answer that has no body though that of GET may have one: to HEAD, or 304. To a HEAD that sends nothing at all
 * Fastify says `Content-Length: 0`, which would be a word about GET (RFC 9110, 8.6).
 */
export const sendNoBody = (reply: FastifyReply): FastifyReply =>
  reply.request.method === 'HEAD' ? reply.send(Readable.from([])) : reply.send()
