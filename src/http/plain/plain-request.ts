import { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import type { PlainHead } from './read-request.ts'

/** What the framework and the handlers use of an `IncomingMessage`, for a request that is there as a whole. */
export class PlainRequest extends EventEmitter {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: string[]
  readonly socket: Socket
  readonly httpVersion = '1.1'
  readonly httpVersionMajor = 1
  readonly httpVersionMinor = 1
  readonly complete = true
  aborted = false
  #body: Buffer | undefined

  constructor(head: PlainHead, body: Buffer, socket: Socket) {
    super()
    this.method = head.method
    this.url = head.url
    this.headers = head.headers
    this.rawHeaders = head.rawHeaders
    this.socket = socket
    this.#body = body
  }

  /** Hands the body to who listens, at once. */
  resume(): this {
    const body = this.#body
    if (body === undefined) return this
    this.#body = undefined
    if (body.length > 0) this.emit('data', body)
    this.emit('end')
    return this
  }
}
