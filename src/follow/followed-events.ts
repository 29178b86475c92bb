// Following as an iteration, for a program that holds the store itself. However slowly it takes the events, memory
// stays bounded: one that falls behind the tail catches up by pages again.

import { setTimeout as sleep } from 'node:timers/promises'
import { AppError, ERRORS } from '../errors.ts'
import type { FollowHub, LiveSink } from './follow-hub.ts'
import type { FollowEnd, FollowQuery } from './follower.ts'
import type { TailEvent } from './tail-event.ts'

/** An event, or without one: everything up to `at` has been passed over. */
export interface Followed {
  /** Position or version. */
  at: number
  event?: TailEvent
}

const RETRY_MS = 250

/**
 * Goes on until `signal`, through everything that passes.
 * @throws AppError what does not, and `cursor_ahead` when the store went back
 */
export async function* followedEvents(
  hub: Pick<FollowHub, 'follow'>,
  query: FollowQuery,
  signal: AbortSignal,
): AsyncGenerator<Followed, void, undefined> {
  let { after } = query
  while (!signal.aborted) {
    const queue = new FollowQueue()
    const follower = hub.follow({ ...query, after }, queue)
    const leave = () => follower.end('left')
    signal.addEventListener('abort', leave)
    try {
      for await (const followed of queue) {
        if (signal.aborted) return
        after = followed.at
        yield followed
      }
    } finally {
      signal.removeEventListener('abort', leave)
      leave()
    }
    if (queue.reason === 'went_back') {
      throw new AppError('cursor_ahead', 'The store went back, as after a restore: what was followed is no more.')
    }
    if (queue.reason !== 'failed' && queue.reason !== 'epoch_changed') continue
    if (!isPassing(queue.error)) throw queue.error
    await sleep(RETRY_MS, undefined, { signal }).catch(() => {})
  }
}

const isPassing = (error: unknown): boolean => error instanceof AppError && (ERRORS[error.code].retryable ?? false)

/** What came and was not taken yet. */
class FollowQueue implements LiveSink, AsyncIterable<Followed> {
  /** Why there will be no more. */
  reason: FollowEnd | undefined
  error: unknown
  #waiting: Followed[] = []
  #pendingBytes = 0
  #change = () => {}
  #drained = () => {}

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  event(event: TailEvent, at: number): void {
    this.#pendingBytes += event.json.length
    this.#waiting.push({ at, event })
    this.#change()
  }

  checkpoint(at: number): void {
    // Of several that nobody took the last one says it all.
    if (this.#waiting.length > 0 && this.#waiting.at(-1)?.event === undefined) this.#waiting.pop()
    this.#waiting.push({ at })
    this.#change()
  }

  heartbeat(): void {}

  drained(): Promise<void> {
    if (this.#pendingBytes === 0 || this.reason !== undefined) return Promise.resolve()
    return new Promise((resolve) => {
      this.#drained = resolve
    })
  }

  end(reason: FollowEnd, _at: number, error?: unknown): void {
    this.reason = reason
    this.error = error
    this.#change()
    this.#drained()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Followed, void, undefined> {
    for (;;) {
      for (const followed of this.#waiting.splice(0)) {
        yield followed
        this.#pendingBytes -= followed.event?.json.length ?? 0
        if (this.#pendingBytes === 0) this.#drained()
      }
      if (this.#waiting.length > 0) continue
      if (this.reason !== undefined) return
      await new Promise<void>((resolve) => {
        this.#change = resolve
      })
    }
  }
}
