// The appends that wait to be sent, in the order in which they came.

import type { AppendRequest } from '../event-log.ts'

export interface QueueLimits {
  /** Most events that wait; the next request is refused. */
  maxQueuedEvents: number
  maxQueuedBytes: number
  /** Longest wait before being sent. */
  queueTimeoutMs: number
}

/** A request, and who is told its outcome. */
export interface Waiting<Answer> {
  request: AppendRequest
  events: number
  bytes: number
  arrivedAt: number
  resolve(answer: Answer): void
  reject(error: unknown): void
}

/** What leaves the queue to be sent together. */
export interface Batch<Answer> {
  waiting: Waiting<Answer>[]
  requests: AppendRequest[]
  events: number
}

// One statement this large costs tens of milliseconds. An import is 5 % faster than with 1,000.
const MAX_BATCH_EVENTS = 2_500
const MAX_BATCH_BYTES = 4 * 1024 * 1024
/** With fewer waiting nobody is refused for the time it takes. */
const MANY_EVENTS = 1_000
/** Of `queueTimeoutMs`: where more waits than goes at once, and the first has waited for so long, no more is let in. */
const PROMPT_SHARE = 1 / 4

/** Bounded by events, bytes and time. */
export class AppendQueue<Answer> {
  readonly #limits: QueueLimits
  #waiting: Waiting<Answer>[] = []
  #events = 0
  #bytes = 0

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  /** Requests that wait. */
  get length(): number {
    return this.#waiting.length
  }

  /** Events that wait. */
  get events(): number {
    return this.#events
  }

  /** Whether as much waits as goes into one batch. */
  get isFull(): boolean {
    return this.#events >= MAX_BATCH_EVENTS || this.#bytes >= MAX_BATCH_BYTES
  }

  /** Lets a request wait, with its outcome; undefined when too much is waiting. */
  add(request: AppendRequest): Promise<Answer> | undefined {
    const { events, bytes } = sizeOf(request)
    const isTooMuch =
      this.#events + events > this.#limits.maxQueuedEvents || this.#bytes + bytes > this.#limits.maxQueuedBytes
    if (isTooMuch || this.#isLate) return undefined
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, events, bytes, arrivedAt: performance.now(), resolve, reject })
      this.#events += events
      this.#bytes += bytes
    })
  }

  // Who came now would wait longer than the first has, who is not even being sent. A database that stands still for a
  // moment is no reason to refuse the few who then wait.
  get #isLate(): boolean {
    if (this.#events < MANY_EVENTS) return false
    const [first] = this.#waiting
    return first !== undefined && performance.now() - first.arrivedAt > this.#limits.queueTimeoutMs * PROMPT_SHARE
  }

  /**
   * Takes the next batch, of `most` requests. One whose ids are claimed earlier in the batch has to see that one's
   * outcome, so it waits for the next.
   */
  take(most: number): Batch<Answer> {
    const batch: Waiting<Answer>[] = []
    const claimed = new Set<string>()
    let events = 0
    let bytes = 0
    let left: Waiting<Answer>[] | undefined
    let index = 0
    for (; index < this.#waiting.length && batch.length < most; index++) {
      const waiting = this.#waiting[index] as Waiting<Answer>
      if (batch.length > 0 && (events + waiting.events > MAX_BATCH_EVENTS || bytes + waiting.bytes > MAX_BATCH_BYTES)) {
        break
      }
      if (claims(waiting.request, claimed)) {
        batch.push(waiting)
        events += waiting.events
        bytes += waiting.bytes
      } else {
        left ??= []
        left.push(waiting)
      }
    }
    this.#waiting = left === undefined ? this.#waiting.slice(index) : left.concat(this.#waiting.slice(index))
    this.#events -= events
    this.#bytes -= bytes
    return { waiting: batch, requests: batch.map(({ request }) => request), events }
  }

  /** Takes those that have waited longer than `queueTimeoutMs`. */
  takeStale(): Waiting<Answer>[] {
    const oldest = performance.now() - this.#limits.queueTimeoutMs
    const stale = this.#waiting.filter(({ arrivedAt }) => arrivedAt < oldest)
    if (stale.length === 0) return stale
    this.#waiting = this.#waiting.filter(({ arrivedAt }) => arrivedAt >= oldest)
    for (const { events, bytes } of stale) {
      this.#events -= events
      this.#bytes -= bytes
    }
    return stale
  }

  /** Takes all. */
  takeAll(): Waiting<Answer>[] {
    const waiting = this.#waiting
    this.#waiting = []
    this.#events = 0
    this.#bytes = 0
    return waiting
  }
}

function sizeOf(request: AppendRequest): { events: number; bytes: number } {
  let events = 0
  let bytes = 0
  for (const append of request.appends) {
    events += append.events.length
    for (const event of append.events) bytes += event.data.length + (event.metadata?.length ?? 0) + 100
  }
  return { events, bytes }
}

function claims(request: AppendRequest, claimed: Set<string>): boolean {
  for (const append of request.appends) {
    for (const event of append.events) if (event.hasClientId && claimed.has(event.id)) return false
  }
  for (const append of request.appends) {
    for (const event of append.events) if (event.hasClientId) claimed.add(event.id)
  }
  return true
}
