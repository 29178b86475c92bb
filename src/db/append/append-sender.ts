// Batches of appends on their way to PostgreSQL, and what became of those that got no answer.

import { setTimeout as sleep } from 'node:timers/promises'
import type { PoolClient } from 'pg'
import type { AppError } from '../../errors.ts'
import type { MeasuredPool } from '../connections/pool.ts'
import type { AppendOutcome, AppendRequest, StreamAppend } from '../event-log.ts'
import { isConnectionFailure, isSerializationFailure, isSurelyNotApplied, translatePgError } from '../pg-errors.ts'
import { OneRowQuery } from '../protocol/one-row-query.ts'
import { storedEventsStatement } from '../read/read-events.ts'
import type { Statement } from '../statement.ts'
import { AppendBatch, type BatchAnswer, type BatchOptions } from './append-events.ts'
import { type BatchSender, outcomeUnknown } from './append-gate.ts'
import { AppendLines, type Line } from './append-lines.ts'
import { loneAppend, loneStatement, readLoneAnswer } from './append-one.ts'
import { idsOf, readOutcome, requestsWithStoredIds } from './append-outcomes.ts'
import type { StoredEvent } from './replay.ts'

/** Or some ids of the request are stored already; what is stored under them tells a retry from a mistake. */
export type GateAnswer =
  | AppendOutcome
  | { kind: 'ids_stored'; isOwn: boolean; stored: Promise<Map<string, StoredEvent>> }

export interface AppendSenderOptions {
  pool: MeasuredPool
  schema: string
  lockTimeoutMs: number
  /** What a request has from its arrival on. */
  requestTimeoutMs: number
  /** An unknown outcome was settled, or could not be. */
  settled(isKnown: boolean): void
  /** Answers those who wait behind the batch and were not sent. */
  refuseQueue(error: AppError): void
}

const MAX_SERIALIZATION_RETRIES = 5
const SETTLE_PAUSE_MS = 50
const SETTLE_PATIENCE_MS = 1_000
/** How long given ids are looked up after one was found stored. */
const LOOK_UP_MS = 1_000
const LEAST_LOCK_TIMEOUT_MS = 100
/** Another process that appends before one of so many batches takes turns with this one, if not every time. */
const SHARED_BATCHES = 8

export class AppendSender implements BatchSender<GateAnswer> {
  readonly #options: AppendSenderOptions
  readonly #pool: MeasuredPool
  /** Makers of statements that are not in use. */
  readonly #batches: AppendBatch[] = []
  /** Some ids were stored already, so for a while the given ones are looked up first. */
  #lookUpUntil = 0
  readonly #lines: AppendLines
  /** The last position that was given here. */
  #head = 0
  /** Batches that were answered since another process was seen to append. */
  #batchesAlone = Number.POSITIVE_INFINITY

  constructor(options: AppendSenderOptions) {
    this.#options = options
    this.#pool = options.pool
    this.#lines = new AppendLines(options.pool)
  }

  get canFollow(): boolean {
    return this.#lines.canFollow
  }

  get isShared(): boolean {
    return this.#batchesAlone < SHARED_BATCHES
  }

  async send(requests: AppendRequest[], deadlineAt: number): Promise<GateAnswer[]> {
    for (let retry = 0; ; retry++) {
      const isFollower = this.canFollow
      const lookUp = this.#lookUp
      const line = this.#lines.current ?? (await this.#lines.open())
      try {
        // The one ahead may wait for the same lock first. Whoever fails because of that asks again.
        const lockTimeoutMs = isFollower ? LEAST_LOCK_TIMEOUT_MS : this.#lockBudget(deadlineAt)
        const answer = await this.#execute(line, requests, { lookUp, lockTimeoutMs })
        this.#watchHead(answer)
        return this.#answers(requests, answer, false)
      } catch (error) {
        if (lookUp === 'conditional' && isUniqueViolation(error)) {
          this.#lookUpUntil = performance.now() + LOOK_UP_MS
          continue
        }
        if (!isSurelyNotApplied(error)) return await this.#settle(requests, deadlineAt, backendOf(line.client), error)
        // The connection was lost before the batch was sent: once more, on another one.
        if (isConnectionFailure(error) && retry === 0) continue
        const translated = translatePgError(error)
        // The pool has left the server that only reads; maybe a primary is there by now.
        if (translated.code === 'database_read_only' && retry === 0) continue
        if (translated.code === 'busy' && isFollower) continue
        if (translated.code !== 'busy' || retry >= MAX_SERIALIZATION_RETRIES || !isSerializationFailure(error))
          throw translated
      }
    }
  }

  #watchHead({ headBefore, headAfter }: BatchAnswer): void {
    this.#batchesAlone = headBefore > this.#head && this.#head > 0 ? 0 : this.#batchesAlone + 1
    this.#head = headAfter
  }

  // A repeated append costs its batch a second try, and appends are repeated rarely, or many at a time.
  get #lookUp(): 'conditional' | 'given' {
    return performance.now() < this.#lookUpUntil ? 'given' : 'conditional'
  }

  // The wait for the gate and for a connection counts: who waits longest waits for one lock time-out in all, not two.
  #lockBudget(deadlineAt: number): number {
    const waitedMs = performance.now() - (deadlineAt - this.#options.requestTimeoutMs)
    return Math.max(LEAST_LOCK_TIMEOUT_MS, Math.round(this.#options.lockTimeoutMs - waitedMs))
  }

  async #execute(line: Line, requests: AppendRequest[], options: BatchOptions): Promise<BatchAnswer> {
    // Behind another one only the statement of a batch is sure to be prepared.
    const isApart = line.onTheWay === 0 && !this.#pool.isPooled && options.lookUp !== 'all'
    const lone = isApart ? loneAppend(requests) : undefined
    return await this.#lines.use(line, async () => {
      const answer = lone && (await this.#executeLone(line.client, lone))
      if (answer !== undefined) return answer
      // That it was not stored alone may be because it is there already.
      return await this.#executeBatch(line, requests, lone === undefined ? options : { ...options, lookUp: 'given' })
    })
  }

  async #executeBatch(line: Line, requests: AppendRequest[], options: BatchOptions): Promise<BatchAnswer> {
    const batch = this.#batches.pop() ?? new AppendBatch(this.#options.schema)
    const row = await this.#row(line.client, batch.statement(requests, options))
    const answer = batch.answer(row as string[])
    this.#batches.push(batch)
    return answer
  }

  // Undefined: nothing was stored, and the batch statement has to say why. Behind a pooler it also has to set the lock
  // time-out, which is the session's everywhere else.
  async #executeLone(client: PoolClient, append: StreamAppend): Promise<BatchAnswer | undefined> {
    try {
      const row = await this.#row(client, loneStatement(this.#options.schema, append))
      return row === undefined ? undefined : readLoneAnswer(row)
    } catch (error) {
      if (isUniqueViolation(error)) return undefined
      throw error
    }
  }

  async #row(client: PoolClient, statement: Statement): Promise<string[] | undefined> {
    const { isPooled, options } = this.#pool
    const query = new OneRowQuery(
      isPooled ? { text: statement.text, values: statement.values } : statement,
      options.queryTimeoutMs,
    )
    client.query(query)
    return (await query.row) as string[] | undefined
  }

  /** Gives the connection back. */
  rest(): void {
    this.#lines.rest()
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
        const stored = await this.#readStored(requests.filter((request) => !settled.has(request)).flatMap(idsOf))
        for (const request of requests) {
          if (!idsOf(request).every((id) => stored.has(id))) continue
          settled.set(request, { kind: 'ids_stored', isOwn: isOwnOnly(request), stored: Promise.resolve(stored) })
        }
        const open = requests.filter((request) => !settled.has(request))
        if (open.length > 0) {
          const again = { lookUp: 'all', lockTimeoutMs: this.#options.lockTimeoutMs } as const
          const answer = await this.#execute(await this.#lines.open(), open, again)
          this.#answers(open, answer, true).forEach((each, i) => settled.set(open[i] as AppendRequest, each))
        }
        this.#options.settled(true)
        return requests.map((request) => settled.get(request) as GateAnswer)
      } catch (caught) {
        const error = translatePgError(caught)
        // A standby may lack what the old primary has stored: it can't tell.
        const isReadOnly = error.code === 'database_read_only'
        // Those who wait behind it were not sent. When it takes long they learn what is the matter.
        const takesLong = performance.now() - startedAt > SETTLE_PATIENCE_MS
        if (isReadOnly || (takesLong && error.status === 503)) this.#options.refuseQueue(error)
        if (isReadOnly) break
        await sleep(SETTLE_PAUSE_MS)
      }
    }
    this.#options.settled(false)
    throw outcomeUnknown(cause)
  }

  /** The answers of a batch; one query looks up all ids that were found stored, and the gate does not wait for it. */
  #answers(requests: AppendRequest[], answer: BatchAnswer, isSettling: boolean): GateAnswer[] {
    const storedRequests = requestsWithStoredIds(requests, answer)
    const stored = storedRequests.size === 0 ? NOTHING_STORED : this.#readStored([...storedRequests].flatMap(idsOf))
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

  async #readStored(ids: string[]): Promise<Map<string, StoredEvent>> {
    const { text, values } = storedEventsStatement(this.#options.schema, ids)
    const { rows } = await this.#pool.query({ text, values })
    return new Map(rows.map((row) => [row.event_id as string, storedEvent(row)]))
  }
}

// Only a backend of this process: behind a pooler the number may be someone else's.
const END_BACKEND = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE pid = $1 AND pid <> pg_backend_pid() AND application_name = current_setting('application_name')`

const backendOf = (client: PoolClient): number => (client as unknown as { processID: number | null }).processID ?? 0

/** Ids that were made here can only be stored by the batch that is being settled. */
const isOwnOnly = ({ appends }: AppendRequest): boolean =>
  appends.every(({ events }) => events.every(({ hasClientId }) => !hasClientId))

const isUniqueViolation = (error: unknown): boolean => (error as { code?: string }).code === '23505'

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
