// The short way from a socket to a route, for the requests that come by the thousand: appends, and reads that are
// answered by one page. Node's own HTTP server takes 30 of the 42 µs of a request that does nothing, mostly for
// streams around a body and an answer that are one piece each. Here such a request is read from the bytes as they came, and
// its answer is one write. Everything else, and all that could be read in two ways, is Node's: the first request that is not
// plain takes its connection there, with the bytes that were read, and there it stays.

import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { PlainRequest } from './plain-request.ts'
import { PlainResponse } from './plain-response.ts'
import { type IsPlainTarget, type PlainHead, readPlainHead } from './read-request.ts'

const SWEEP_MS = 1_000
/** A request that takes longer to arrive is Node's, which keeps the time of those and answers them. */
const ARRIVAL_SWEEPS = 2
/** A longer body is Node's, which reads it as a stream. */
const MAX_BODY_BYTES = 1024 * 1024

/** Stands before what `server` does with connections, and gives it those that are not plain. */
export function plainConnections(server: Server, isPlainTarget: IsPlainTarget): void {
  const [take, ...others] = server.listeners('connection') as ((socket: Socket) => void)[]
  if (take === undefined || others.length > 0) throw new Error('one listener takes all connections')
  const connections = new Set<PlainConnection>()
  const keepAlive = () =>
    `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(server.keepAliveTimeout / 1000)}\r\n`
  const owner: Owner = {
    server,
    sweep: 0,
    keepAlive: '',
    isPlainTarget,
    takeOver: (socket) => take.call(server, socket),
    forget: (connection) => connections.delete(connection),
  }
  server.removeListener('connection', take)
  server.on('connection', (socket) => {
    connections.add(new PlainConnection(owner, socket))
  })

  let sweeper: NodeJS.Timeout | undefined
  server.on('listening', () => {
    owner.keepAlive = keepAlive()
    sweeper = setInterval(() => {
      owner.sweep++
      const idleSweeps = Math.ceil(server.keepAliveTimeout / SWEEP_MS)
      for (const connection of connections) connection.sweep(idleSweeps)
    }, SWEEP_MS).unref()
  })
  server.on('close', () => clearInterval(sweeper))

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

interface Owner {
  server: Server
  /** Counts the sweeps, which are the clock of the connections. */
  sweep: number
  /** The headers of an answer after which the connection stays open. */
  keepAlive: string
  isPlainTarget: IsPlainTarget
  /** Gives the socket to Node's HTTP server. */
  takeOver(socket: Socket): void
  forget(connection: PlainConnection): void
}

class PlainConnection {
  readonly #owner: Owner
  readonly #socket: Socket
  /** The request that is being answered. */
  #response: PlainResponse | undefined
  /** The head of a request whose body is not there as a whole. */
  #head: PlainHead | undefined
  /** Bytes that wait: of that request, or of the next one while one is being answered. */
  #waiting: Buffer[] = []
  /** It had a request before, so it may be idle for long. */
  #isProven = false
  #since: number

  constructor(owner: Owner, socket: Socket) {
    this.#owner = owner
    this.#socket = socket
    this.#since = owner.sweep
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onClose)
    socket.on('error', this.#onError)
  }

  sweep(idleSweeps: number): void {
    if (this.#response !== undefined) return
    const waited = this.#owner.sweep - this.#since
    if (this.#isProven && this.#head === undefined) {
      if (waited > idleSweeps) this.#socket.destroy()
    } else if (waited > ARRIVAL_SWEEPS) this.#leave()
  }

  closeIfIdle(): void {
    if (this.#response === undefined && this.#head === undefined) this.#socket.destroy()
  }

  close(): void {
    this.#socket.destroy()
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#response !== undefined) {
      this.#waiting.push(chunk)
      this.#socket.pause()
      return
    }
    if (this.#waiting.length > 0) {
      this.#waiting.push(chunk)
      chunk = Buffer.concat(this.#waiting)
      this.#waiting = []
    }
    this.#read(chunk)
  }

  #read(bytes: Buffer): void {
    const head = this.#head ?? readPlainHead(bytes, this.#owner.isPlainTarget)
    this.#head = undefined
    const length = head === undefined ? 0 : head.headBytes + head.bodyBytes
    // What follows was sent before its sender had an answer.
    if (head === undefined || head.bodyBytes > MAX_BODY_BYTES || bytes.length > length) return this.#leave(bytes)
    this.#since = this.#owner.sweep
    if (bytes.length < length) {
      this.#head = head
      this.#waiting.push(bytes)
      return
    }
    this.#isProven = true
    const request = new PlainRequest(head, bytes.subarray(head.headBytes), this.#socket)
    this.#response = new PlainResponse(request, this.#owner.keepAlive, this.#answered)
    this.#owner.server.emit('request', request, this.#response)
  }

  readonly #answered = (isLast: boolean): void => {
    this.#response = undefined
    this.#since = this.#owner.sweep
    if (isLast) this.#socket.end()
    else if (this.#waiting.length > 0) queueMicrotask(() => this.#readWaiting())
  }

  #readWaiting(): void {
    const bytes = Buffer.concat(this.#waiting)
    this.#waiting = []
    this.#socket.resume()
    this.#read(bytes)
  }

  /** Goes over to Node's server, which reads what was read here first. */
  #leave(bytes?: Buffer): void {
    const socket = this.#socket
    socket.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose).off('error', this.#onError)
    this.#owner.forget(this)
    const all = bytes === undefined ? Buffer.concat(this.#waiting) : bytes
    if (all.length > 0) socket.unshift(all)
    this.#owner.takeOver(socket)
  }

  // As Node's server does: who sends no more is not answered any more either.
  readonly #onEnd = (): void => {
    this.#socket.end()
  }

  readonly #onClose = (): void => {
    this.#owner.forget(this)
    this.#response?.gone()
  }

  readonly #onError = (): void => {
    this.#socket.destroy()
  }
}
