import { EventEmitter } from 'node:events'
import { type OutgoingHttpHeader, STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http'
import type { PlainRequest } from './plain-request.ts'

type Headers = Record<string, OutgoingHttpHeader | undefined>

/**
 * What the framework and the handlers use of a `ServerResponse`, for an answer that is one piece: one write to the
 * socket instead of a stream over another one.
 */
export class PlainResponse extends EventEmitter {
  readonly req: PlainRequest
  statusCode = 200
  headersSent = false
  writableEnded = false
  writableFinished = false
  destroyed = false
  /** Headers of an answer after which the connection stays open. */
  #keepAlive: string
  /** Called when the answer is on its way as a whole. */
  readonly #onFinish: (isLast: boolean) => void
  readonly #headers: Headers = {}
  #head = ''
  #length: number | undefined
  #isLast = false

  constructor(req: PlainRequest, keepAlive: string, onFinish: (isLast: boolean) => void) {
    super()
    this.req = req
    this.#keepAlive = keepAlive
    this.#onFinish = onFinish
  }

  setHeader(name: string, value: OutgoingHttpHeader): this {
    this.#headers[name.toLowerCase()] = value
    return this
  }

  getHeader(name: string): OutgoingHttpHeader | undefined {
    return this.#headers[name.toLowerCase()]
  }

  getHeaders(): Headers {
    return { ...this.#headers }
  }

  hasHeader(name: string): boolean {
    return this.#headers[name.toLowerCase()] !== undefined
  }

  removeHeader(name: string): void {
    const key = name.toLowerCase()
    delete this.#headers[key]
    // Who takes the header out has it left out.
    if (key === 'connection') this.#keepAlive = ''
  }

  /** `headers` by names in lower case. @throws Error for a name or value that would forge another header */
  writeHead(status: number, headers: Headers = {}): this {
    if (this.headersSent) throw new Error('the head of this answer was written before')
    let lines = ''
    for (const name in headers) lines += headerLines(name, headers[name])
    for (const name in this.#headers) if (headers[name] === undefined) lines += headerLines(name, this.#headers[name])
    const length = headers['content-length'] ?? this.#headers['content-length']
    if (length !== undefined) this.#length = Number(length)
    this.#isLast = (headers.connection ?? this.#headers.connection) === 'close'
    this.#head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n${lines}`
    this.statusCode = status
    this.headersSent = true
    return this
  }

  end(body?: string | Buffer | null): this {
    if (this.writableEnded) return this
    if (!this.headersSent) this.writeHead(this.statusCode)
    this.writableEnded = true
    // Who went away, or sends no more, gets no answer; the close of the connection tells.
    if (this.req.socket.writable) this.#write(hasNoBody(this.statusCode) ? '' : (body ?? ''))
    return this
  }

  /** Cuts the connection off. */
  destroy(error?: Error): this {
    this.req.socket.destroy(error)
    return this
  }

  /** To be called when the connection is gone before the answer was out. */
  gone(): void {
    this.destroyed = true
    this.req.aborted = true
    this.req.emit('close')
    this.emit('close')
  }

  #write(body: string | Buffer): void {
    const { socket } = this.req
    const bytes = this.#length ?? Buffer.byteLength(body)
    const length = this.#length === undefined && !hasNoBody(this.statusCode) ? `content-length: ${bytes}\r\n` : ''
    const head = `${this.#head}${length}Date: ${dateNow()}\r\n${this.#isLast ? '' : this.#keepAlive}\r\n`
    if (typeof body === 'string') {
      // Text of as many bytes as characters is ASCII, which goes to the kernel without being encoded.
      socket.write(head + body, bytes === body.length ? 'latin1' : 'utf8')
    } else {
      socket.cork()
      socket.write(head, 'latin1')
      socket.write(body)
      socket.uncork()
    }
    if (socket.writableLength === 0 && socket.errored === null) this.#finish()
    else socket.write('', (error) => error || this.#finish())
  }

  #finish(): void {
    this.writableFinished = true
    this.#onFinish(this.#isLast)
    this.emit('finish')
    this.emit('close')
  }
}

const hasNoBody = (status: number): boolean => status === 204 || status === 304

function headerLines(name: string, value: OutgoingHttpHeader | undefined): string {
  if (value === undefined) return ''
  if (Array.isArray(value)) return value.map((each) => headerLines(name, each)).join('')
  validateHeaderName(name)
  validateHeaderValue(name, value as string)
  return `${name}: ${value}\r\n`
}

let date = ''
let dateUntil = 0

// HTTP's dates are whole seconds.
function dateNow(): string {
  const now = Date.now()
  if (now >= dateUntil || now < dateUntil - 1000) {
    date = new Date(now).toUTCString()
    dateUntil = now - (now % 1000) + 1000
  }
  return date
}
