// A keep-alive HTTP/1.1 client connection that costs a few microseconds per request, so that the load does not take
// the cores from what is measured. It reads answers with a Content-Length and nothing else.

import { connect, type Socket } from 'node:net'

export interface Answer {
  status: number
  /** Empty when bodies are not wanted. */
  body: string
}

export interface ConnectionOptions {
  port: number
  wantsBody: boolean
  onAnswer(connection: Connection, answer: Answer): void
  onError(error: Error): void
}

const READ_BYTES = 256 * 1024
// A socket fills it and is called back before another one reads, so all share it.
const readBuffer = Buffer.allocUnsafe(READ_BYTES)
const HEAD_END = Buffer.from('\r\n\r\n')

export class Connection {
  readonly index: number
  /** When the request in flight was sent, by performance.now(). */
  sentAt = 0
  bytesRead = 0
  readonly #options: ConnectionOptions
  readonly #socket: Socket
  readonly #answer: Answer = { status: 0, body: '' }
  #partial: Buffer | undefined
  /** Bytes of an unwanted body that are still to come. */
  #skip = 0

  constructor(index: number, options: ConnectionOptions) {
    this.index = index
    this.#options = options
    this.#socket = connect({
      host: '127.0.0.1',
      port: options.port,
      noDelay: true,
      onread: { buffer: readBuffer, callback: (length) => this.#read(length) },
    })
    this.#socket.on('error', options.onError)
    this.#socket.on('close', () => options.onError(new Error('the service closed the connection')))
  }

  opened(): Promise<void> {
    return new Promise((resolve) => this.#socket.once('connect', resolve))
  }

  send(request: string): void {
    this.sentAt = performance.now()
    this.#socket.write(request, 'latin1')
  }

  close(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
  }

  #read(length: number): boolean {
    this.bytesRead += length
    if (this.#skip > 0) {
      this.#skip -= length
      if (this.#skip === 0) this.#options.onAnswer(this, this.#answer)
      return true
    }
    const part = readBuffer.subarray(0, length)
    const data = this.#partial === undefined ? part : Buffer.concat([this.#partial, part])
    const headEnd = data.indexOf(HEAD_END)
    if (headEnd === -1) return this.#keep(data)
    const head = data.toString('latin1', 0, headEnd)
    const bodyAt = headEnd + HEAD_END.length
    const missing = bodyAt + contentLength(head) - data.length
    this.#answer.status = Number(head.slice(9, 12))
    if (missing > 0 && this.#options.wantsBody) return this.#keep(data)
    this.#partial = undefined
    this.#answer.body = this.#options.wantsBody ? data.toString('latin1', bodyAt) : ''
    if (missing > 0) this.#skip = missing
    else this.#options.onAnswer(this, this.#answer)
    return true
  }

  // The shared buffer is about to be used by another socket.
  #keep(data: Buffer): boolean {
    this.#partial = Buffer.from(data)
    return true
  }
}

function contentLength(head: string): number {
  let at = head.indexOf('\r\ncontent-length: ')
  if (at === -1) at = head.indexOf('\r\nContent-Length: ')
  if (at === -1) throw new Error(`an answer without a length:\n${head}`)
  return Number.parseInt(head.slice(at + 18, at + 30), 10)
}
