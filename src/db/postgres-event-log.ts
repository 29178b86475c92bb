// The event store on PostgreSQL: appends through the gate, reads over the pool.

import { setTimeout as sleep } from 'node:timers/promises'
import type { PoolClient } from 'pg'
import type { Settings } from '../config.ts'

import { AppendBatch, AS_TEXT, type BatchAnswer, type BatchOptions } from './append-events.ts'
import { AppendGate, type GateLimits, type GateObserver, outcomeUnknown } from './append-gate.ts'
import { loneAppend, loneStatement, readLoneAnswer } from './append-one.ts'
import { idsOf, readOutcome, requestsWithStoredIds } from './append-outcomes.ts'
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
import { arrayQuery, EventReader } from './event-reader.ts'
import { isConnectionFailure, isSerializationFailure, isSurelyNotApplied, translatePgError } from './pg-errors.ts'
import type { MeasuredPool } from './pool.ts'
import { type Statement, storedEventsStatement } from './read-events.ts'
import { replayOutcome, type StoredEvent } from './replay.ts'

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

// Some ids of the request are stored already; what is stored under them tells a retry from a mistake.
type GateAnswer = AppendOutcome | { kind: 'ids_stored'; isOwn: boolean; stored: Promise<Map<string, StoredEvent>> }

const MAX_SERIALIZATION_RETRIES = 5
const SETTLE_PAUSE_MS = 50
const SETTLE_PATIENCE_MS = 1_000
const UNIQUE_VIOLATION = '23505'
const LEAST_LOCK_TIMEOUT_MS = 100
// When nobody appends any more, nobody finds out that there is room again.
const FULL_FOR_MS = 60_000
// Small events may still find room where large ones do not.
const FULL_MOMENT_MS = 1_000

export class PostgresEventLog implements EventLog {
  readonly #pool: MeasuredPool
  readonly #schema: string
  readonly #reader: EventReader
  readonly #batch: AppendBatch
  readonly #lockTimeoutMs: number
  readonly #requestTimeoutMs: number
  readonly #gate: AppendGate<GateAnswer>
  readonly #observer: EventLogObserver
  /** The connection of the last batch, when another one may follow at once. */
  #held: PoolClient | undefined
  readonly #listeners = new Set<() => void>()
  #lastFullAt = Number.NEGATIVE_INFINITY
  #lastAppend: { position: number; at: number } | undefined

  constructor(options: EventLogOptions) {
    this.#pool = options.pool
    this.#schema = options.schema
    this.#observer = options.observer
    this.#reader = new EventReader(options.pool, options.schema)
    this.#batch = new AppendBatch(options.schema)
    this.#lockTimeoutMs = options.lockTimeoutMs
    this.#requestTimeoutMs = options.limits.requestTimeoutMs
    const sender = {
      send: (requests: AppendRequest[], deadlineAt: number) => this.#send(requests, deadlineAt),
      rest: () => this.#letGo(),
    }
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

  async #send(requests: AppendRequest[], deadlineAt: number): Promise<GateAnswer[]> {
    for (let retry = 0; ; retry++) {
      const client = this.#take() ?? (await this.#connect())
      try {
        const answer = await this.#execute(client, requests, {
          lookUpAll: false,
          lockTimeoutMs: this.#lockBudget(deadlineAt),
        })
        return this.#answers(requests, answer, false)
      } catch (error) {
        if (!isSurelyNotApplied(error)) return await this.#settle(requests, deadlineAt, backendOf(client), error)
        // A backend that was ended before it took the batch up: once more, on another connection.
        if (isConnectionFailure(error) && retry === 0) continue
        const translated = translatePgError(error)
        // The pool has left the server that only reads; maybe a primary is there by now.
        if (translated.code === 'database_read_only' && retry === 0) continue
        if (translated.code !== 'busy' || retry >= MAX_SERIALIZATION_RETRIES || !isSerializationFailure(error))
          throw translated
      }
    }
  }

  // The wait for the gate and for a connection counts: who waits longest waits for one lock time-out in all, not two.
  #lockBudget(deadlineAt: number): number {
    const waitedMs = performance.now() - (deadlineAt - this.#requestTimeoutMs)
    return Math.max(LEAST_LOCK_TIMEOUT_MS, Math.round(this.#lockTimeoutMs - waitedMs))
  }

  async #execute(client: PoolClient, requests: AppendRequest[], options: BatchOptions): Promise<BatchAnswer> {
    try {
      const answer =
        (await this.#executeLone(client, requests, options)) ?? (await this.#executeBatch(client, requests, options))
      this.#keep(client)
      return answer
    } catch (error) {
      client.release(isSurelyNotApplied(error) ? undefined : (error as Error))
      throw error
    }
  }

  async #executeBatch(client: PoolClient, requests: AppendRequest[], options: BatchOptions): Promise<BatchAnswer> {
    const rows = await this.#textRows(client, this.#batch.statement(requests, options))
    return this.#batch.answer(rows[0] as string[])
  }

  // Undefined: nothing was stored, and the batch statement has to say why. Behind a pooler it also has to set the lock
  // time-out, which is the session's everywhere else.
  async #executeLone(client: PoolClient, requests: AppendRequest[], options: BatchOptions) {
    const append = this.#pool.isPooled || options.lookUpAll ? undefined : loneAppend(requests)
    if (append === undefined) return undefined
    try {
      const [row] = await this.#textRows(client, loneStatement(this.#schema, append))
      return row === undefined ? undefined : readLoneAnswer(row)
    } catch (error) {
      if ((error as { code?: string }).code === UNIQUE_VIOLATION) return undefined
      throw error
    }
  }

  async #textRows(client: PoolClient, statement: Statement): Promise<string[][]> {
    const { rows } = await client.query({ ...arrayQuery(this.#pool, statement), types: AS_TEXT })
    return rows as string[][]
  }

  // The connection stays with the gate from batch to batch, because giving it back and asking for it again would let
  // the answers of the last batch be written first. Others who wait for one have it in between.
  #keep(client: PoolClient): void {
    if (this.#pool.canStay(client)) this.#held = client
    else client.release()
  }

  #take(): PoolClient | undefined {
    const client = this.#held
    this.#held = undefined
    return client
  }

  #connect(): Promise<PoolClient> {
    return this.#pool.connect().catch((error: unknown) => {
      throw translatePgError(error)
    })
  }

  #letGo(): void {
    this.#take()?.release()
  }

  /**
   * The batch was sent and no answer came. What is stored of it is looked up, which works even where answers of appends
   * get lost one after another. The rest is sent again with all its ids looked up: the lock on the head makes it wait
   * for a first one that still runs, and an id can't be stored twice.
   */
  async #settle(requests: AppendRequest[], deadlineAt: number, backend: number, cause: unknown): Promise<GateAnswer[]> {
    const startedAt = performance.now()
    const settled = new Map<AppendRequest, GateAnswer>()
    while (performance.now() < deadlineAt) {
      try {
        // A backend that hangs with the head locked would hold up the settling, and every append after it.
        await this.#pool.query(END_BACKEND, [backend]).catch(() => {})
        const stored = await this.#lookUp(requests.filter((request) => !settled.has(request)).flatMap(idsOf))
        for (const request of requests) {
          if (!idsOf(request).every((id) => stored.has(id))) continue
          settled.set(request, { kind: 'ids_stored', isOwn: isOwnOnly(request), stored: Promise.resolve(stored) })
        }
        const open = requests.filter((request) => !settled.has(request))
        if (open.length > 0) {
          const again = { lookUpAll: true, lockTimeoutMs: this.#lockTimeoutMs }
          const answer = await this.#execute(await this.#pool.connect(), open, again)
          this.#answers(open, answer, true).forEach((each, i) => settled.set(open[i] as AppendRequest, each))
        }
        this.#observer.settled(true)
        return requests.map((request) => settled.get(request) as GateAnswer)
      } catch (caught) {
        const error = translatePgError(caught)
        // A standby may lack what the old primary has stored: it can't tell.
        const isReadOnly = error.code === 'database_read_only'
        // Those who wait behind it were not sent. When it takes long they learn what is the matter.
        const takesLong = performance.now() - startedAt > SETTLE_PATIENCE_MS
        if (isReadOnly || (takesLong && error.status === 503)) this.#gate.refuseQueue(error)
        if (isReadOnly) break
        await sleep(SETTLE_PAUSE_MS)
      }
    }
    this.#observer.settled(false)
    throw outcomeUnknown(cause)
  }

  /** The answers of a batch; one query looks up all ids that were found stored, and the gate does not wait for it. */
  #answers(requests: AppendRequest[], answer: BatchAnswer, isSettling: boolean): GateAnswer[] {
    const storedRequests = requestsWithStoredIds(requests, answer)
    const stored = storedRequests.size === 0 ? NOTHING_STORED : this.#lookUp([...storedRequests].flatMap(idsOf))
    // Each request awaits it for itself; until then a failure must not count as unhandled.
    stored.catch(() => {})
    let condition = 0
    return requests.map((request) => {
      const first = condition
      condition += request.appends.length + request.checks.length
      if (!storedRequests.has(request)) return readOutcome(request, answer, first)
      return { kind: 'ids_stored', isOwn: isSettling && isOwnOnly(request), stored }
    })
  }

  async #lookUp(ids: string[]): Promise<Map<string, StoredEvent>> {
    const { text, values } = storedEventsStatement(this.#schema, ids)
    const { rows } = await this.#pool.query({ text, values })
    return new Map(rows.map((row) => [row.event_id as string, storedEvent(row)]))
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

// Only a backend of this process: behind a pooler the number may be someone else's.
const END_BACKEND = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE pid = $1 AND pid <> pg_backend_pid() AND application_name = current_setting('application_name')`

const backendOf = (client: PoolClient): number => (client as unknown as { processID: number | null }).processID ?? 0

/** What is stored under the ids. When that can't be learned, it may be the very request: nothing says that it is not. */
async function known(stored: Promise<Map<string, StoredEvent>>): Promise<Map<string, StoredEvent>> {
  try {
    return await stored
  } catch (error) {
    throw outcomeUnknown(error)
  }
}

/** Ids that were made here can only be stored by the batch that is being settled. */
const isOwnOnly = ({ appends }: AppendRequest): boolean =>
  appends.every(({ events }) => events.every(({ hasClientId }) => !hasClientId))

const NOTHING_STORED = Promise.resolve(new Map<string, StoredEvent>())

const storedEvent = (row: Record<string, unknown>): StoredEvent => ({
  position: Number(row['position']),
  streamId: row['stream_id'] as string,
  version: Number(row['version']),
  id: row['event_id'] as string,
  type: row['event_type'] as string,
  data: row['event_data'] as Buffer,
  isJson: row['is_json'] as boolean,
  contentType: row['content_type'] as string | null,
  metadata: row['metadata'] as string | null,
  createdAt: row['created_at'] as string,
})
