// Lines of JSON as a response, a page at a time: while one page is written the next is read, and no more than that
// is in memory however slowly the client reads.

import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { sendNoBody } from './no-body.ts'

export const NDJSON_TYPE = 'application/x-ndjson'

/** One page: its lines, each with its line feed, and how to get the next one; null after the last. */
export interface LinePage {
  json: string | Buffer
  next: (() => Promise<LinePage>) | null
}

/**
 * Sends `first` and all pages after it. An error after the first page can only break the connection off, which the
 * client sees as an incomplete answer.
 */
export function sendLines(reply: FastifyReply, first: LinePage): FastifyReply {
  reply.type(NDJSON_TYPE)
  if (reply.request.method === 'HEAD') return sendNoBody(reply)
  // One page ahead of the socket is enough; more would only be memory.
  return reply.send(Readable.from(pages(first), { objectMode: false, highWaterMark: 1 }))
}

async function* pages(first: LinePage): AsyncGenerator<string | Buffer> {
  let page: LinePage | undefined = first
  while (page !== undefined) {
    const following: Promise<LinePage> | undefined = page.next?.()
    // It is awaited below; until then a failure must not count as unhandled.
    following?.catch(() => {})
    if (page.json.length > 0) yield page.json
    page = await following
  }
}
