// The short way from a socket to a route, for the requests that come by the thousand: appends, and reads that are
// answered by one page. Node's own HTTP server takes 30 of the 42 µs of a request that does nothing, mostly for
// streams around a body and an answer that are one piece each. Here such a request is read from the bytes as they came, and
// its answer is one write. Everything else, and all that could be read in two ways, is Node's: the first request that is not
// plain takes its connection there, with the bytes that were read, and there it stays.

import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { PlainConnection, type PlainServer } from './plain-connection.ts'
import type { IsPlainTarget } from './read-request.ts'

const SWEEP_MS = 1_000

/** Stands before what `server` does with connections, and gives it those that are not plain. */
export function plainConnections(server: Server, isPlainTarget: IsPlainTarget): void {
  const [take, ...others] = server.listeners('connection') as ((socket: Socket) => void)[]
  if (take === undefined || others.length > 0) throw new Error('one listener takes all connections')
  const connections = new Set<PlainConnection>()
  const plain: PlainServer = {
    server,
    sweep: 0,
    keepAlive: '',
    isPlainTarget,
    takeOver: (socket) => take.call(server, socket),
    forget: (connection) => connections.delete(connection),
  }
  server.removeListener('connection', take)
  server.on('connection', (socket) => {
    connections.add(new PlainConnection(plain, socket))
  })
  sweepRegularly(plain, connections)

  const closeIdle = server.closeIdleConnections.bind(server)
  const closeAll = server.closeAllConnections.bind(server)
  server.closeIdleConnections = () => {
    for (const connection of connections) connection.closeIfIdle()
    closeIdle()
  }
  server.closeAllConnections = () => {
    for (const connection of connections) connection.close()
    closeAll()
  }
}

// Once a second instead of a timer per connection, which would have to be set anew with each request. Only while the
// server listens, so that one that never does leaves nothing behind.
function sweepRegularly(plain: PlainServer, connections: Set<PlainConnection>): void {
  const { server } = plain
  let sweeper: NodeJS.Timeout | undefined
  server.on('listening', () => {
    const { keepAliveTimeout } = server
    const idleSweeps = keepAliveTimeout === 0 ? Number.POSITIVE_INFINITY : Math.ceil(keepAliveTimeout / SWEEP_MS)
    const hint = keepAliveTimeout === 0 ? '' : `Keep-Alive: timeout=${Math.floor(keepAliveTimeout / 1000)}\r\n`
    plain.keepAlive = `Connection: keep-alive\r\n${hint}`
    clearInterval(sweeper)
    sweeper = setInterval(() => {
      plain.sweep++
      for (const connection of connections) connection.sweep(idleSweeps)
    }, SWEEP_MS).unref()
  })
  server.on('close', () => clearInterval(sweeper))
}
