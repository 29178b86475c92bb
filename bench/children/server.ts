// Peers that are Fastify services: they listen on a free port, tell it to the parent, and end with it.

import type { FastifyInstance } from 'fastify'

export function serveUntilEnded(app: FastifyInstance): void {
  process.once('disconnect', () => process.exit(0))
  void app.listen({ host: '127.0.0.1', port: 0 }).then(() => {
    process.send?.({ kind: 'listening', port: (app.server.address() as { port: number }).port })
  })
}
