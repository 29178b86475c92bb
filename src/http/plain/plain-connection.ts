import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { PlainRequest } from './plain-request.ts'
import { PlainResponse } from './plain-response.ts'
import { type IsPlainTarget, type PlainHead, readPlainHead } from './read-request.ts'

/** A request that takes longer to arrive is Node's, which keeps the time of those and answers them. */
const ARRIVAL_SWEEPS = 2
/**
 * A longer body is Node's, which reads it as a stream: who may not send it is refused before it is there, so strangers
 * can't fill the memory. What is saved here would not show beside the work for so much.
 */
const MAX_BODY_BYTES = 64 * 1024

/** What the connections of a server have in common. */
export interface PlainServer {
  readonly server: Server
  /** Counts the sweeps, which are the clock of the connections. */
  sweep: number
  /** The headers of an answer after which the connection stays open. */
  keepAlive: string
  isPlainTarget: IsPlainTarget
  /** Gives the socket to Node's HTTP server. */
  takeOver(socket: Socket): void
  forget(connection: PlainConnection): void
}

/** A request of which a part of the body is still to come; all its bytes, from the head on. */
interface Arriving {
  head: PlainHead
  bytes: Buffer
  filled: number
}

/** A connection on which every request so far was plain. Answers one at a time, in the order in which they came. */
export class PlainConnection {
  readonly #plain: PlainServer
  readonly #socket: Socket
  /** The request that is being answered. */
  #response: PlainResponse | undefined
  #arriving: Arriving | undefined
  /** What came while a request was being answered. */
  #waiting: Buffer[] = []
  /** It had a request before, so it may be idle for long. */
  #isProven = false
  /** Nothing that still comes is read. */
  #isOver = false
  /** The sweep at which it began to wait for what it waits for. */
  #since: number

  constructor(plain: PlainServer, socket: Socket) {
    this.#plain = plain
    this.#socket = socket
    this.#since = plain.sweep
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onClose)
    socket.on('error', this.#onError)
  }

  sweep(idleSweeps: number): void {
    if (this.#response !== undefined || this.#isOver || this.#socket.destroyed) return
    const waited = this.#plain.sweep - this.#since
    if (this.#isProven && this.#arriving === undefined) {
      if (waited > idleSweeps) this.close()
    } else if (waited > ARRIVAL_SWEEPS) this.#leave(this.#arrived())
  }

  /**
   * A new connection is not idle: its first request may be on its way. One whose body is still to come is refused by its
   * head when the service ends, and need not wait for it.
   */
  closeIfIdle(): void {
    if (this.#response !== undefined || this.#isOver || this.#socket.destroyed) return
    if (this.#arriving !== undefined) this.#leave(this.#arrived())
    else if (this.#isProven) this.close()
  }

  close(): void {
    this.#socket.destroy()
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#isOver) return
    if (this.#response !== undefined) {
      this.#waiting.push(chunk)
      this.#socket.pause()
    } else if (this.#arriving !== undefined) this.#continue(this.#arriving, chunk)
    else this.#read(chunk)
  }

  #read(bytes: Buffer): void {
    const head = readPlainHead(bytes, this.#plain.isPlainTarget)
    if (head === undefined || head.bodyBytes > MAX_BODY_BYTES) return this.#leave(bytes)
    this.#since = this.#plain.sweep
    const length = head.headBytes + head.bodyBytes
    if (bytes.length === length) return this.#enter(head, bytes)
    this.#arriving = { head, bytes: Buffer.allocUnsafe(length), filled: 0 }
    this.#continue(this.#arriving, bytes)
  }

  #continue(arriving: Arriving, chunk: Buffer): void {
    const { head, bytes, filled } = arriving
    // What follows a request was sent before its sender had an answer.
    if (filled + chunk.length > bytes.length) return this.#leave(Buffer.concat([this.#arrived(), chunk]))
    chunk.copy(bytes, filled)
    arriving.filled += chunk.length
    if (arriving.filled < bytes.length) return
    this.#arriving = undefined
    this.#enter(head, bytes)
  }

  #arrived(): Buffer {
    return this.#arriving?.bytes.subarray(0, this.#arriving.filled) ?? Buffer.alloc(0)
  }

  #enter(head: PlainHead, bytes: Buffer): void {
    this.#isProven = true
    const request = new PlainRequest(head, bytes.subarray(head.headBytes), this.#socket)
    this.#response = new PlainResponse(request, this.#plain.keepAlive, this.#answered)
    this.#plain.server.emit('request', request, this.#response)
  }

  readonly #answered = (isLast: boolean): void => {
    this.#response = undefined
    this.#since = this.#plain.sweep
    if (isLast) {
      this.#isOver = true
      this.#socket.destroySoon()
    } else if (this.#waiting.length > 0) queueMicrotask(() => this.#readWaiting())
  }

  #readWaiting(): void {
    if (this.#isOver || this.#socket.destroyed) return
    const bytes = Buffer.concat(this.#waiting)
    this.#waiting = []
    this.#socket.resume()
    this.#read(bytes)
  }

  /** Goes over to Node's server, which reads first what was read here. */
  #leave(bytes: Buffer): void {
    const socket = this.#socket
    socket.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose).off('error', this.#onError)
    this.#plain.forget(this)
    if (bytes.length > 0) socket.unshift(bytes)
    this.#plain.takeOver(socket)
  }

  // As Node's server does: who sends no more is not answered any more either, unless to hear that a part is missing.
  readonly #onEnd = (): void => {
    if (this.#isOver) return
    this.#isOver = true
    if (this.#arriving === undefined) this.#socket.end()
    else this.#plain.server.emit('clientError', new EndedEarly(), this.#socket)
  }

  readonly #onClose = (): void => {
    this.#isOver = true
    this.#plain.forget(this)
    this.#response?.gone()
  }

  readonly #onError = (): void => {
    this.close()
  }
}

class EndedEarly extends Error {
  /** What Node's parser says then. */
  readonly code = 'HPE_INVALID_EOF_STATE'

  constructor() {
    super('the connection ended in the middle of a request')
  }
}
