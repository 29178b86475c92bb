// A connection pooler as small as can be: it announces process ids of its own, and in transaction mode hands a server
// connection to another client after each transaction, the last used one first, as PgBouncer does.

import { createServer, type Socket } from 'node:net'
import pg from 'pg'
import type { Teardown } from './postgres.ts'

export interface PoolerOptions {
  mode: 'transaction' | 'session'
  /** Server connections. */
  size: number
}

interface Peer {
  socket: Socket
  server: Server | undefined
  waiting: Buffer[]
}

interface Server {
  socket: Socket
  client: Peer | undefined
  rest: Buffer
}

/** Starts it in front of the database of `url`; returns the URL that leads through it. */
export async function startPooler(t: Teardown, url: string, { mode, size }: PoolerOptions): Promise<string> {
  const free: Server[] = []
  const queue: Peer[] = []
  for (let i = 0; i < size; i++) free.push(await openServer(url, release))

  function release(server: Server): void {
    const { client } = server
    if (mode === 'session' && client !== undefined && !client.socket.destroyed) return
    if (client !== undefined) client.server = undefined
    server.client = undefined
    free.push(server)
    const next = queue.shift()
    if (next !== undefined) assign(next)
  }

  function assign(peer: Peer): void {
    const server = free.pop()
    if (server === undefined) {
      if (!queue.includes(peer)) queue.push(peer)
      return
    }
    peer.server = server
    server.client = peer
    for (const data of peer.waiting.splice(0)) server.socket.write(data)
  }

  const listener = createServer((socket) => {
    const peer: Peer = { socket, server: undefined, waiting: [] }
    let pid = 0
    socket.on('error', () => {})
    socket.once('data', () => {
      pid = 1 + Math.floor(Math.random() * 2 ** 20)
      socket.write(
        Buffer.concat([message('R', int32(0)), message('K', int32(pid), int32(7)), message('Z', Buffer.from('I'))]),
      )
      socket.on('data', (data) => {
        if (data[0] === 0x58) {
          socket.end()
          return
        }
        if (peer.server !== undefined) peer.server.socket.write(data)
        else {
          peer.waiting.push(data)
          assign(peer)
        }
      })
    })
    socket.on('close', () => {
      if (peer.server !== undefined && mode === 'session') release(peer.server)
    })
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    listener.close()
    for (const { socket } of free) socket.destroy()
  })
  const { port } = listener.address() as { port: number }
  return `postgres://anybody@127.0.0.1:${port}/anything`
}

/** Logs in with the driver and then takes its socket. */
async function openServer(url: string, release: (server: Server) => void): Promise<Server> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  const socket = (client as unknown as { connection: { stream: Socket } }).connection.stream
  socket.removeAllListeners('data')
  const server: Server = { socket, client: undefined, rest: Buffer.alloc(0) }
  socket.on('data', (data) => {
    server.rest = Buffer.concat([server.rest, data])
    while (server.rest.length >= 5) {
      const length = 1 + server.rest.readInt32BE(1)
      if (server.rest.length < length) return
      const frame = server.rest.subarray(0, length)
      server.rest = server.rest.subarray(length)
      server.client?.socket.write(frame)
      if (frame[0] === 0x5a && frame[5] === 0x49) release(server)
    }
  })
  return server
}

const int32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32BE(value)
  return buffer
}

const message = (type: string, ...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
}
