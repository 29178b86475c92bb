// Working through a consumer: claim, handle, acknowledge; the service keeps the place.

import type { BodyOf, Lease, NewConsumer, StoredEvent } from './contract.ts'
import { AnnalsError } from './errors.ts'
import { newEventId } from './event-id.ts'
import { pauseMs, sleep } from './retry.ts'
import type { CallOptions, EpochMemory, Transport } from './transport.ts'

/** What a handler gets besides the event. */
export interface HandlerContext {
  /** How often the event was handed out; 1 for the first time. */
  attempt: number
  /** Aborted when others may have the event by now, because the lease ended. */
  signal: AbortSignal
  /** Sets the event aside when the handler is done, for a reason that is kept; later events go on. */
  park(reason: string): void
}

/** Ends when the event is done with. What it throws brings the event back later, at most `max_attempts` times. */
export type EventHandler = (event: StoredEvent, context: HandlerContext) => unknown

export interface ConsumeOptions {
  /** Ends it when the event at hand is done; what was claimed and not begun goes back at once. */
  signal?: AbortSignal | undefined
  /** Who works; a random name when absent. Each that works at the same time needs its own. */
  member?: string | undefined
  /** Events claimed at once, 1 to 1,000; 100 when absent. */
  limit?: number | undefined
  /** Seconds that the service holds a claim open when there is nothing, 0 to 60; 30 when absent. */
  waitSeconds?: number | undefined
  /** That of the store in which the consumer's place was checked last; that of the first claim when absent. */
  epoch?: string | undefined
  /** Told what a handler threw, with its event, and of calls that fail and are tried again. */
  onError?: ((error: unknown, event: StoredEvent | undefined) => void) | undefined
}

interface Work {
  http: Transport
  name: string
  handler: EventHandler
  options: ConsumeOptions
  leaseMs: number
}

const RENEWALS_PER_LEASE = 3
/** What is given back when it ends may take so long. */
const LEAVING_MS = 5_000

/** Resolves when `signal` says so. @throws AnnalsError what trying again can't mend: `consumer_not_found`, `epoch_changed`, … */
export async function consume(
  http: Transport,
  name: string,
  handler: EventHandler,
  options: ConsumeOptions = {},
): Promise<void> {
  const { signal, limit = 100, waitSeconds = 30, member = `client-${newEventId()}`, onError } = options
  let leaseMs: number | undefined
  const epoch: EpochMemory = { current: options.epoch }
  for (let failures = 0; !signal?.aborted; ) {
    try {
      leaseMs ??= (await consumerInfo(http, name, { signal })).lease_seconds * 1000
      const body = { member, limit, wait: waitSeconds }
      const waitMs = waitSeconds * 1000
      const lease = await http.call('post', '/consumers/{name}/claim', { path: { name }, body, signal, waitMs, epoch })
      await handle({ http, name, handler, options, leaseMs }, lease)
      failures = 0
    } catch (error) {
      if (signal?.aborted) return
      const isPassing = error instanceof AnnalsError && (error.retryable || error.code === 'lease_lost')
      if (!isPassing) throw error
      onError?.(error, undefined)
      await sleep(pauseMs(++failures, http.retry, error.retryAfterMs), signal).catch(() => {})
    }
  }
}

/** @throws AnnalsError `consumer_differs` and others */
export const saveConsumer = (http: Transport, name: string, consumer: NewConsumer, { signal }: CallOptions = {}) =>
  http.call('put', '/consumers/{name}', { path: { name }, body: consumer, signal })

/** Where a consumer stands. @throws AnnalsError `consumer_not_found` */
export const consumerInfo = (http: Transport, name: string, { signal }: CallOptions = {}) =>
  http.call('get', '/consumers/{name}', { path: { name }, signal })

/** Handles the events of a lease in order, and renews it meanwhile. */
async function handle(work: Work, { token, events, attempts }: Lease): Promise<void> {
  if (token === null) return
  const { signal } = work.options
  const lease = new LeaseInHand(work, token)
  try {
    for (const [i, event] of events.entries()) {
      if (lease.isLost) return
      if (signal?.aborted) return await lease.giveBack(event)
      if (!(await lease.handle(event, attempts[i] ?? 1))) return
    }
    if (!lease.isLost) await lease.finish()
  } finally {
    lease.close()
  }
}

type Nack = Omit<BodyOf<'/consumers/{name}/nack', 'post'>, 'token'>

class LeaseInHand {
  readonly #work: Work
  readonly #token: string
  readonly #lost = new AbortController()
  readonly #closed = new AbortController()
  readonly #renewal: ReturnType<typeof setInterval>
  /** Position of the last event that is done with. */
  #done = 0

  constructor(work: Work, token: string) {
    this.#work = work
    this.#token = token
    this.#renewal = setInterval(() => void this.#renew(), work.leaseMs / RENEWALS_PER_LEASE)
  }

  get isLost(): boolean {
    return this.#lost.signal.aborted
  }

  close(): void {
    clearInterval(this.#renewal)
    this.#closed.abort()
  }

  /** Whether the lease goes on: an event that failed ends it. */
  async handle(event: StoredEvent, attempt: number): Promise<boolean> {
    const { handler, options } = this.#work
    let reason: string | undefined
    const park = (why: string) => {
      reason = why
    }
    try {
      await handler(event, { attempt, signal: this.#lost.signal, park })
    } catch (error) {
      options.onError?.(error, event)
      if (!this.isLost) await this.#fail(event, String((error as Error | undefined)?.message ?? error))
      return false
    }
    if (reason !== undefined) await this.#nack({ action: 'park', position: event.position, reason: short(reason) })
    this.#done = event.position
    return true
  }

  async finish(): Promise<void> {
    await this.#ack({})
  }

  /** What was not begun; none of it counts as tried, because the position named is before it. */
  async giveBack(next: StoredEvent): Promise<void> {
    const signal = AbortSignal.timeout(LEAVING_MS)
    if (this.#done > 0) await this.#ack({ position: this.#done }, signal)
    await this.#nack({ action: 'retry', position: Math.max(1, next.position - 1), delay_seconds: 0 }, signal)
  }

  async #fail({ position }: StoredEvent, reason: string): Promise<void> {
    if (this.#done > 0) await this.#ack({ position: this.#done })
    await this.#nack({ action: 'retry', position, reason: short(reason) })
  }

  // Acknowledges what is done so far, so that a crash repeats little.
  async #renew(): Promise<void> {
    try {
      await this.#ack({ position: this.#done }, this.#closed.signal)
    } catch (error) {
      if (error instanceof AnnalsError && error.code === 'lease_lost') this.#lost.abort(error)
    }
  }

  #ack(body: { position?: number }, signal?: AbortSignal) {
    const { http, name } = this.#work
    return http.call('post', '/consumers/{name}/ack', { path: { name }, body: { token: this.#token, ...body }, signal })
  }

  #nack(body: Nack, signal?: AbortSignal) {
    const { http, name } = this.#work
    return http.call('post', '/consumers/{name}/nack', {
      path: { name },
      body: { token: this.#token, ...body },
      signal,
    })
  }
}

const short = (reason: string) => reason.slice(0, 1_000)
