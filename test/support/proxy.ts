// A TCP proxy before PostgreSQL that can fall silent, cut connections, dawdle, or give out process ids as a pooler does.

import { connect, createServer, type Socket } from 'node:net'
import type { Teardown } from './postgres.ts'

export interface Proxy {
  url: string
  /** Connections stay open, and not a byte goes through: a network that swallows packets. */
  pause(): void
  resume(): void
  /** Resets every connection. */
  cut(): void
  /** Closes every connection in good order. */
  close(): void
  /** Connections that a client holds at the moment. */
  readonly open: number
}

export interface ProxyOptions {
  /** The server's first answer is held back for this long. */
  answerAfterMs?: number
  /** ReadyForQuery is held back for this long, so that it comes apart from what precedes it. */
  readyAfterMs?: number
  /** Changes the process id that the server tells, as PgBouncer does. */
  changesProcessId?: boolean
}

/** Listens on a free loopback port, for a server with a Unix socket. */
export async function startProxy(t: Teardown, url: string, options: ProxyOptions = {}): Promise<Proxy> {
  const target = new URL(url)
  const socket = `${target.searchParams.get('host')}/.s.PGSQL.${target.port || '5432'}`
  const pairs = new Set<[Socket, Socket]>()
  let isPaused = false
  const server = createServer((client) => {
    const upstream = connect(socket)
    const pair: [Socket, Socket] = [client, upstream]
    pairs.add(pair)
    let isFirst = true
    const forward = (from: Socket, to: Socket, change: (chunk: Buffer) => Buffer) => {
      from.on('data', (chunk: Buffer) => {
        if (isPaused) {
          from.pause()
          from.unshift(chunk)
          return
        }
        const delayMs = isFirst && from === upstream ? (options.answerAfterMs ?? 0) : 0
        if (from === upstream) isFirst = false
        const readyAt = from === upstream && options.readyAfterMs !== undefined ? chunk.lastIndexOf(READY) : -1
        if (delayMs > 0) setTimeout(() => to.write(change(chunk)), delayMs)
        else if (readyAt === -1) to.write(change(chunk))
        else {
          to.write(chunk.subarray(0, readyAt))
          setTimeout(() => to.write(chunk.subarray(readyAt)), options.readyAfterMs)
        }
      })
      from.on('error', () => {})
      from.on('close', () => {
        pairs.delete(pair)
        to.destroy()
      })
    }
    forward(client, upstream, (chunk) => chunk)
    forward(upstream, client, options.changesProcessId ? changeProcessId : (chunk) => chunk)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const pair of pairs) for (const each of pair) each.destroy()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  })
  const { port } = server.address() as { port: number }
  return {
    url: `postgres://${target.username}@127.0.0.1:${port}${target.pathname}`,
    pause() {
      isPaused = true
    },
    resume() {
      isPaused = false
      for (const pair of pairs) for (const each of pair) each.resume()
    },
    cut() {
      for (const [client] of pairs) client.resetAndDestroy()
    },
    close() {
      for (const [client] of pairs) client.end()
    },
    get open() {
      return pairs.size
    },
  }
}

// ReadyForQuery: `Z`, its length 5, the state of the transaction.
const READY = Buffer.from([0x5a, 0, 0, 0, 5])

// BackendKeyData: `K`, its length 12, the process id.
const BACKEND_KEY = Buffer.from([0x4b, 0, 0, 0, 12])

function changeProcessId(chunk: Buffer): Buffer {
  const at = chunk.indexOf(BACKEND_KEY)
  if (at !== -1) chunk.writeInt32BE(chunk.readInt32BE(at + 5) + 1, at + 5)
  return chunk
}
