// The event store on PostgreSQL: appends through the gate, reads over the pool.

import type { Settings } from '../settings.ts'
import { AppendGate, type GateLimits, type GateObserver, outcomeUnknown } from './append/append-gate.ts'
import { AppendSender, type GateAnswer } from './append/append-sender.ts'
import { replayOutcome, type StoredEvent } from './append/replay.ts'
import type { MeasuredPool } from './connections/pool.ts'
import type {
  AppendOutcome,
  AppendRequest,
  EventLog,
  FeedPage,
  FeedQuery,
  PageText,
  Separator,
  StreamInfo,
  StreamListQuery,
  StreamPage,
  StreamQuery,
} from './event-log.ts'
import { translatePgError } from './pg-errors.ts'
import { EventReader } from './read/event-reader.ts'

export interface EventLogObserver extends GateObserver {
  appended(events: number): void
  conflicted(): void
  replayed(): void
  /** An unknown outcome was settled, or could not be. */
  settled(isKnown: boolean): void
}

export interface EventLogOptions {
  pool: MeasuredPool
  schema: string
  lockTimeoutMs: number
  limits: GateLimits
  observer: EventLogObserver
}

/** The part of the options that comes out of the settings of the service. */
export const eventLogOptions = (settings: Settings): Pick<EventLogOptions, 'schema' | 'lockTimeoutMs' | 'limits'> => ({
  schema: settings.DATABASE_SCHEMA,
  lockTimeoutMs: settings.DATABASE_LOCK_TIMEOUT_MS,
  limits: {
    maxQueuedEvents: settings.APPEND_QUEUE_MAX_EVENTS,
    maxQueuedBytes: settings.APPEND_QUEUE_MAX_BYTES,
    queueTimeoutMs: settings.APPEND_QUEUE_TIMEOUT_MS,
    requestTimeoutMs: settings.REQUEST_TIMEOUT_MS,
  },
})

/** For who does not measure. */
export const UNOBSERVED: EventLogObserver = {
  appended() {},
  conflicted() {},
  replayed() {},
  settled() {},
  batchCommitted() {},
  overloaded() {},
}

// When nobody appends any more, nobody finds out that there is room again.
const FULL_FOR_MS = 60_000
// Small events may still find room where large ones do not.
const FULL_MOMENT_MS = 1_000

export class PostgresEventLog implements EventLog {
  readonly #reader: EventReader
  readonly #gate: AppendGate<GateAnswer>
  readonly #observer: EventLogObserver
  readonly #listeners = new Set<() => void>()
  #lastFullAt = Number.NEGATIVE_INFINITY
  #lastAppend: { position: number; at: number } | undefined

  constructor(options: EventLogOptions) {
    this.#observer = options.observer
    this.#reader = new EventReader(options.pool, options.schema)
    const sender = new AppendSender({
      ...options,
      requestTimeoutMs: options.limits.requestTimeoutMs,
      settled: (isKnown) => options.observer.settled(isKnown),
      refuseQueue: (error) => this.#gate.refuseQueue(error),
    })
    this.#gate = new AppendGate(sender, options.limits, {
      overloaded: () => options.observer.overloaded(),
      batchCommitted: (events, seconds) => {
        options.observer.batchCommitted(events, seconds)
        for (const listener of this.#listeners) listener()
      },
    })
  }

  /** The last position that this process stored, and when (by performance.now()). */
  get lastAppend(): { position: number; at: number } | undefined {
    return this.#lastAppend
  }

  /** Whether the database had no room for events a moment ago, or when some were to be stored last. */
  get isFull(): boolean {
    const wasLast = this.#lastFullAt > (this.#lastAppend?.at ?? Number.NEGATIVE_INFINITY)
    return performance.now() - this.#lastFullAt < (wasLast ? FULL_FOR_MS : FULL_MOMENT_MS)
  }

  /** Events that wait for the gate. */
  get queuedEvents(): number {
    return this.#gate.queuedEvents
  }

  append(requests: AppendRequest[]): Promise<AppendOutcome[]> {
    return Promise.all(requests.map((request) => this.appendOne(request)))
  }

  /** As {@link append}, for one request. */
  async appendOne(request: AppendRequest): Promise<AppendOutcome> {
    try {
      const answer = await this.#gate.append(request)
      const outcome =
        answer.kind === 'ids_stored' ? replayOutcome(request, await known(answer.stored), !answer.isOwn) : answer
      this.#count(outcome)
      return outcome
    } catch (caught) {
      const error = translatePgError(caught)
      if (error.code === 'database_full') this.#lastFullAt = performance.now()
      return { kind: 'failed', error }
    }
  }

  readStream(query: StreamQuery): Promise<StreamPage> {
    return this.#reader.readStream(query)
  }

  readFeed(query: FeedQuery): Promise<FeedPage> {
    return this.#reader.readFeed(query)
  }

  readStreamText(query: StreamQuery, separator: Separator): Promise<PageText> {
    return this.#reader.readStreamText(query, separator)
  }

  readFeedText(query: FeedQuery, separator: Separator): Promise<PageText> {
    return this.#reader.readFeedText(query, separator)
  }

  readEvent(eventId: string): Promise<string | null> {
    return this.#reader.readEvent(eventId)
  }

  listStreams(query: StreamListQuery): Promise<StreamInfo[]> {
    return this.#reader.listStreams(query)
  }

  readStreamInfo(streamId: string): Promise<StreamInfo | null> {
    return this.#reader.readStreamInfo(streamId)
  }

  head(): Promise<number> {
    return this.#reader.head()
  }

  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Answers what waits, and takes no more; the pool is its owner's to end. */
  close(): Promise<void> {
    return this.#gate.close()
  }

  #count(outcome: AppendOutcome): void {
    if (outcome.kind === 'conflict') this.#observer.conflicted()
    if (outcome.kind !== 'appended') return
    if (outcome.appends.some(({ replayed }) => replayed)) return this.#observer.replayed()
    let events = 0
    let position = 0
    for (const appended of outcome.appends) {
      events += appended.event_ids.length
      if (appended.position > position) position = appended.position
    }
    this.#lastAppend = { position, at: performance.now() }
    this.#observer.appended(events)
  }
}

/** What is stored under the ids. When that can't be learned, it may be the very request: nothing says that it is not. */
async function known(stored: Promise<Map<string, StoredEvent>>): Promise<Map<string, StoredEvent>> {
  try {
    return await stored
  } catch (error) {
    throw outcomeUnknown(error)
  }
}
