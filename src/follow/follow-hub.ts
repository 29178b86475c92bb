// Everybody who follows in this process: one tail, one heartbeat.

import type { EventLog } from '../db/event-log.ts'
import type { FeedTail, TailListener } from './feed-tail.ts'
import { Follower, type FollowLimits, type FollowQuery, type FollowSink } from './follower.ts'
import type { TailEvent } from './tail-event.ts'

export interface FollowHubOptions {
  log: Pick<EventLog, 'readFeed' | 'readStream' | 'head'>
  tail: FeedTail
  heartbeatMs: number
  limits: FollowLimits
}

/** A sink that says it is alive when nothing else does. */
export interface LiveSink extends FollowSink {
  heartbeat(at: number): void
}

interface Followed {
  follower: Follower
  sink: LiveSink
}

export class FollowHub {
  readonly #options: FollowHubOptions
  readonly #followed = new Set<Followed>()
  #heartbeat: NodeJS.Timeout | undefined

  constructor(options: FollowHubOptions) {
    this.#options = options
  }

  /** Number of readers that follow. */
  get followers(): number {
    return this.#followed.size
  }

  /** Starts to follow; `end()` of what is returned stops it, and the sink is told. */
  follow(query: FollowQuery, sink: LiveSink): Follower {
    const { log, tail, limits, heartbeatMs } = this.#options
    const follower = new Follower(log, tail, query, sink, limits, () => this.#forget(followed))
    const followed = { follower, sink }
    this.#followed.add(followed)
    this.#heartbeat ??= setInterval(() => this.#beat(), heartbeatMs).unref()
    void follower.start()
    return follower
  }

  /**
   * Reads until there is something, at most `timeoutMs` or until `signal`; the last page may be empty. `passes` says
   * which new events are worth another look.
   */
  async waitForEvents<Page>(
    read: () => Promise<Page>,
    hasEvents: (page: Page) => boolean,
    passes: ((event: TailEvent) => boolean) | undefined,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Page> {
    const page = await read()
    if (hasEvents(page)) return page
    return this.#waitFor(
      async () => {
        const again = await read()
        return hasEvents(again) ? { value: again } : { otherwise: again }
      },
      (events) => passes === undefined || events.some(passes),
      timeoutMs,
      signal,
    )
  }

  /** Whether the store reaches the position within `timeoutMs`. */
  async waitForPosition(position: number, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const { log, tail } = this.#options
    if (tail.position >= position || (await log.head()) >= position) return true
    return this.#waitFor(
      async () => ((await log.head()) >= position ? { value: true } : { otherwise: false }),
      (_, reached) => reached >= position,
      timeoutMs,
      signal,
    )
  }

  // Joined before it looks: what comes after the look is heard of, what came before is seen.
  async #waitFor<T>(
    look: () => Promise<{ value: T } | { otherwise: T }>,
    isWorthALook: (events: TailEvent[], position: number) => boolean,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<T> {
    const deadlineAt = performance.now() + timeoutMs
    let isWorth = false
    let wake = () => {}
    const listener: TailListener = {
      onEvents: (events, position) => {
        if (!isWorthALook(events, position)) return
        isWorth = true
        wake()
      },
      onWentBack: () => {
        isWorth = true
        wake()
      },
    }
    await this.#options.tail.join(listener)
    const onAbort = () => wake()
    signal.addEventListener('abort', onAbort)
    try {
      for (;;) {
        isWorth = false
        const found = await look()
        if ('value' in found) return found.value
        const leftMs = deadlineAt - performance.now()
        if (leftMs <= 0 || signal.aborted) return found.otherwise
        if (isWorth) continue
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, leftMs)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
        if (!isWorth) return found.otherwise
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#options.tail.leave(listener)
    }
  }

  /** The store is another one than before: everybody is ended with the error, before anything of it is handed on. */
  startOver(error: unknown): void {
    for (const { follower } of [...this.#followed]) follower.end('epoch_changed', error)
    this.#options.tail.startOver()
  }

  #forget(followed: Followed): void {
    this.#followed.delete(followed)
    if (this.#followed.size > 0) return
    clearInterval(this.#heartbeat)
    this.#heartbeat = undefined
  }

  #beat(): void {
    for (const { follower, sink } of this.#followed) {
      if (follower.isFiltered) follower.checkpoint()
      else sink.heartbeat(follower.cursor)
    }
  }
}
