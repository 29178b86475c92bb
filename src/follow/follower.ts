// One reader that follows the feed or a stream: it catches up from its cursor by pages, then goes over to the shared
// tail. The tail is joined before the last pages are read, so nothing falls between the two, and every event has a
// number, so nothing comes twice.

import { setTimeout as sleep } from 'node:timers/promises'
import type { EventLine, EventLog, FeedFilter } from '../db/event-log.ts'
import { AppError, ERRORS } from '../errors.ts'
import { type EventPredicate, predicateOf } from './event-filter.ts'
import type { FeedTail, TailListener } from './feed-tail.ts'
import { TailEvent } from './tail-event.ts'

/** What is followed, from which number on (exclusive): positions of the feed, or versions of a stream. */
export type FollowQuery =
  | { kind: 'feed'; after: number; filter: FeedFilter }
  | { kind: 'stream'; streamId: string; after: number; types?: string[] }

/** Why following ended. */
export type FollowEnd = 'shutting_down' | 'overflow' | 'went_back' | 'epoch_changed' | 'failed' | 'left'

/** Where the events go. */
export interface FollowSink {
  /** One event; `at` is its position or version. */
  event(event: TailEvent, at: number): void
  /** Nothing up to here concerns the reader. */
  checkpoint(at: number): void
  /** Bytes handed over and not yet taken by the reader. */
  readonly pendingBytes: number
  /** Resolves when the reader has taken enough, or is gone. */
  drained(): Promise<void>
  end(reason: FollowEnd, at: number, error?: unknown): void
}

export interface FollowLimits {
  /** A reader that is further behind than this, in bytes that wait for it, is ended. */
  maxPendingBytes: number
}

const RETRY_MS = 250
const PAGE_EVENTS = 500
const PAGE_BYTES = 512 * 1024
/** With a filter this many events are passed over at most before the reader gets a checkpoint. */
const CHECKPOINT_EVENTS = 10_000

export class Follower implements TailListener {
  readonly #log: Pick<EventLog, 'readFeed' | 'readStream'>
  readonly #tail: FeedTail
  readonly #query: FollowQuery
  readonly #sink: FollowSink
  readonly #limits: FollowLimits
  readonly #onEnd: () => void
  readonly #passes: EventPredicate
  /** Last number that is done with: delivered, or no concern of the reader. */
  #cursor: number
  /** Number of the last checkpoint or event that the reader has seen. */
  #told: number
  /** Events of the tail that came while the last pages were read. */
  #early: TailEvent[] | undefined
  #earlyBytes = 0
  #isLive = false
  #isEnded = false

  constructor(
    log: Pick<EventLog, 'readFeed' | 'readStream'>,
    tail: FeedTail,
    query: FollowQuery,
    sink: FollowSink,
    limits: FollowLimits,
    onEnd: () => void = () => {},
  ) {
    this.#onEnd = onEnd
    this.#log = log
    this.#tail = tail
    this.#query = query
    this.#sink = sink
    this.#limits = limits
    this.#passes = query.kind === 'feed' ? predicateOf(query.filter) : streamPredicate(query.streamId, query.types)
    this.#cursor = query.after
    this.#told = query.after
  }

  /** Whether events are passed over, so that the reader needs checkpoints. */
  get isFiltered(): boolean {
    return this.#query.kind === 'feed' ? this.#passes !== undefined : this.#query.types !== undefined
  }

  get cursor(): number {
    return this.#cursor
  }

  /** Catches up and goes live; resolves when it is live or has ended. Errors end the sink, they do not reject. */
  async start(): Promise<void> {
    while (!this.#isEnded && !this.#isLive) {
      try {
        await this.#goLive()
      } catch (error) {
        // While the database is away the reader waits, as it would once it is live.
        if (!isPassing(error)) return this.end('failed', error)
        this.#tail.leave(this)
        await sleep(RETRY_MS, undefined, { ref: false })
      }
    }
  }

  async #goLive(): Promise<void> {
    await this.#catchUp()
    if (this.#isEnded) return
    this.#early = []
    this.#earlyBytes = 0
    const joinedAt = await this.#tail.join(this)
    if (this.#isEnded) return this.#tail.leave(this)
    await this.#catchUp(joinedAt)
    if (this.#isEnded) return
    this.#isLive = true
    const early = this.#early
    this.#early = undefined
    this.#deliver(early, this.#tail.position)
  }

  /** Tells the reader where it stands: with a filter a checkpoint; without, the caller's heartbeat is enough. */
  checkpoint(): void {
    if (this.#isEnded || !this.isFiltered) return
    this.#told = this.#cursor
    this.#sink.checkpoint(this.#cursor)
  }

  end(reason: FollowEnd, error?: unknown): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#tail.leave(this)
    this.#early = undefined
    this.#onEnd()
    this.#sink.end(reason, this.#cursor, error)
  }

  onEvents(events: TailEvent[], position: number): void {
    if (this.#isEnded) return
    if (this.#isLive) return this.#deliver(events, position)
    for (const event of events) {
      this.#early?.push(event)
      this.#earlyBytes += event.json.length
    }
    if (this.#earlyBytes > this.#limits.maxPendingBytes) this.end('overflow')
  }

  onWentBack(): void {
    this.end('went_back')
  }

  #deliver(events: TailEvent[], position: number): void {
    for (const event of events) {
      const at = this.#query.kind === 'feed' ? event.position : this.#versionIn(event)
      if (at === undefined || at <= this.#cursor) continue
      this.#cursor = at
      if (this.#passes === undefined || this.#passes(event)) this.#send(event, at)
      if (this.#isEnded) return
    }
    if (this.#query.kind === 'feed' && position > this.#cursor) this.#cursor = position
    if (this.isFiltered && this.#cursor - this.#told >= CHECKPOINT_EVENTS) this.checkpoint()
  }

  #versionIn(event: TailEvent): number | undefined {
    const { stream_id: streamId, version } = event.fields
    return this.#query.kind === 'stream' && streamId === this.#query.streamId ? version : undefined
  }

  #send(event: TailEvent, at: number): void {
    this.#told = at
    this.#sink.event(event, at)
    if (this.#isLive && this.#sink.pendingBytes > this.#limits.maxPendingBytes) this.end('overflow')
  }

  /** Reads pages from the cursor on until one is not full, and at least up to `upTo`. */
  async #catchUp(upTo = 0): Promise<void> {
    for (;;) {
      if (this.#isEnded) return
      const page =
        this.#query.kind === 'feed' ? await this.#readFeed(this.#query.filter) : await this.#readStream(this.#query)
      if (this.#isEnded) return
      for (const line of page.events) {
        this.#cursor = line.at
        this.#send(new TailEvent(line), line.at)
      }
      this.#cursor = Math.max(this.#cursor, page.seenUpTo)
      if (this.isFiltered && this.#cursor - this.#told >= CHECKPOINT_EVENTS) this.checkpoint()
      if (this.#sink.pendingBytes > 0) await this.#sink.drained()
      if (page.isEnd && (this.#query.kind === 'stream' || this.#cursor >= upTo)) return
    }
  }

  // A filter that rarely matches would have one statement look at millions of events: it goes window by window.
  async #readFeed(filter: FeedFilter): Promise<CatchUpPage> {
    const upTo = this.isFiltered ? this.#cursor + CHECKPOINT_EVENTS : undefined
    const page = await this.#log.readFeed({
      ...filter,
      after: this.#cursor,
      ...(upTo === undefined ? {} : { upTo }),
      direction: 'forward',
      limit: PAGE_EVENTS,
      maxBytes: PAGE_BYTES,
      mayBeShort: true,
    })
    if (page.isFull) return { events: page.events, seenUpTo: 0, isEnd: false }
    const seenUpTo = Math.min(page.head, upTo ?? page.head)
    return { events: page.events, seenUpTo, isEnd: seenUpTo >= page.head }
  }

  async #readStream(query: FollowQuery & { kind: 'stream' }): Promise<CatchUpPage> {
    const page = await this.#log.readStream({
      streamId: query.streamId,
      fromVersion: this.#cursor + 1,
      direction: 'forward',
      limit: PAGE_EVENTS,
      maxBytes: PAGE_BYTES,
      mayBeShort: true,
      ...(query.types === undefined ? {} : { types: query.types }),
    })
    return { events: page.events, seenUpTo: page.isFull ? 0 : page.version, isEnd: !page.isFull }
  }
}

interface CatchUpPage {
  events: EventLine[]
  /** Everything up to here was looked at; 0 when only the events themselves say how far it is. */
  seenUpTo: number
  /** There was no more at that moment. */
  isEnd: boolean
}

const isPassing = (error: unknown): boolean => error instanceof AppError && ERRORS[error.code].retryable === true

function streamPredicate(streamId: string, types: string[] | undefined): EventPredicate {
  return ({ fields }) => fields.stream_id === streamId && (types === undefined || types.includes(fields.type))
}
