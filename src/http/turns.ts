// Takes requests up in turns, so that thousands at once leave time for what they wait for: the answers of the database,
// probes, and connections that are still to be accepted, of which Node takes one each time it has looked after all others.

import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Requests that are taken up each time around the event loop; fewer than that never wait here. */
const PER_ROUND = 256
/** While connections come in they go first, because the system drops those that wait in thousands. */
const CONNECTIONS_FIRST_MS = 250
// After that; each connection brings a request, so that one would not be enough.
const PER_CONNECTION = 2
/** Who would have to wait longer for a turn is surplus. */
const PROMPT_MS = 600
/** Who is refused and asks again on the same connection is not heard before: refusing takes time from all others. */
const REFUSED_FOR_MS = 1_000
// What one request takes, until that has been measured; and how much the last round counts.
const FIRST_GUESS_MS = 0.1
const WEIGHT = 0.2

interface Waiting {
  request: IncomingMessage
  response: ServerResponse
  since: number
}

const arrivedAt = Symbol('arrived at')
const surplus = Symbol('surplus')
const refusedUntil = Symbol('refused until')
type Guest = ServerResponse & { [arrivedAt]?: number; [surplus]?: true }
type Caller = Socket & { [refusedUntil]?: number }

/** When a request that had to wait here was read, by performance.now(); undefined for all others. */
export const arrivalOf = (response: ServerResponse): number | undefined => (response as Guest)[arrivedAt]

/** Whether too many waited when the request came; what has to store something is then refused. */
export const isSurplus = (response: ServerResponse): boolean => (response as Guest)[surplus] === true

/** Tells that the caller was refused because of what waits. */
export function wasRefused({ req }: ServerResponse): void {
  ;(req.socket as Caller)[refusedUntil] = performance.now() + REFUSED_FOR_MS
}

/** Stands before what `server` does with requests. */
export class Turns {
  readonly #handle: RequestListener
  readonly #isUrgent: (request: IncomingMessage) => boolean
  #waiting: Waiting[] = []
  /** Writes that came when too many others waited: who reads them refuses them. */
  #surplus: Waiting[] = []
  /** Who asked again at once after a refusal, and what lets them in when the time has come. */
  readonly #held = new Map<Waiting, NodeJS.Timeout>()
  #isOver = false
  #taken = 0
  #isRoundAhead = false
  #hasAccepted = false
  #endedAt = 0
  #msPerRequest = FIRST_GUESS_MS

  /** Requests that are urgent never wait. */
  constructor(server: Server, isUrgent: (request: IncomingMessage) => boolean) {
    const [handle, ...others] = server.listeners('request') as RequestListener[]
    if (handle === undefined || others.length > 0) throw new Error('one listener takes all requests')
    this.#handle = handle
    this.#isUrgent = isUrgent
    server.removeListener('request', handle)
    server.on('request', (request, response) => this.#arrived(request, response))
    server.on('connection', () => {
      this.#hasAccepted = true
    })
  }

  /** Takes up all who wait, and whoever comes later at once: for a service that only has refusals left to give. */
  end(): void {
    this.#isOver = true
    for (const timer of this.#held.values()) clearTimeout(timer)
    const all = [...this.#waiting, ...this.#surplus, ...this.#held.keys()]
    this.#held.clear()
    this.#waiting = []
    this.#surplus = []
    for (const each of all) this.#take(each)
  }

  #arrived(request: IncomingMessage, response: ServerResponse): void {
    if (this.#isOver || this.#isUrgent(request)) return this.#handle(request, response)
    const until = (request.socket as Caller)[refusedUntil]
    const heldMs = until === undefined ? 0 : until - performance.now()
    if (heldMs > 0) return this.#hold(request, response, heldMs)
    if (this.#waiting.length > 0 || this.#taken >= PER_ROUND) return this.#add(request, response)
    this.#taken++
    this.#scheduleRound()
    this.#handle(request, response)
  }

  #hold(request: IncomingMessage, response: ServerResponse, ms: number): void {
    const held = { request, response, since: performance.now() }
    const letIn = () => {
      this.#held.delete(held)
      this.#add(request, response)
    }
    this.#held.set(held, setTimeout(letIn, ms).unref())
  }

  #add(request: IncomingMessage, response: ServerResponse): void {
    const isSurplus = request.method === 'POST' && this.#waiting.length * this.#msPerRequest > PROMPT_MS
    const queue = isSurplus ? this.#surplus : this.#waiting
    queue.push({ request, response, since: performance.now() })
    this.#scheduleRound()
  }

  #scheduleRound(): void {
    if (this.#isRoundAhead) return
    this.#isRoundAhead = true
    setImmediate(() => this.#round())
  }

  #round(): void {
    this.#isRoundAhead = false
    this.#measure()
    const share = this.#share()
    const due = this.#waiting.slice(0, share)
    const refused = this.#surplus.slice(0, share)
    this.#waiting = this.#waiting.slice(due.length)
    this.#surplus = this.#surplus.slice(refused.length)
    this.#taken = due.length
    this.#hasAccepted = false
    for (const each of due) this.#take(each)
    for (const each of refused) {
      ;(each.response as Guest)[surplus] = true
      this.#take(each)
    }
    if (this.#taken > 0 || this.#waiting.length > 0 || this.#surplus.length > 0) this.#scheduleRound()
  }

  // What a request takes is the time of a whole round, with all that was done for others, by those that it took up.
  #measure(): void {
    const now = performance.now()
    if (this.#waiting.length > 0 && this.#taken > 0) {
      this.#msPerRequest += ((now - this.#endedAt) / this.#taken - this.#msPerRequest) * WEIGHT
    }
    this.#endedAt = now
  }

  #share(): number {
    const [first] = this.#waiting
    if (first === undefined || !this.#hasAccepted) return PER_ROUND
    return performance.now() - first.since < CONNECTIONS_FIRST_MS ? 0 : PER_CONNECTION
  }

  #take({ request, response, since }: Waiting): void {
    // Its client has gone meanwhile.
    if (request.socket.destroyed) return
    ;(response as Guest)[arrivedAt] = since
    this.#handle(request, response)
  }
}
