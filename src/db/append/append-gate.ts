// Group commit: while one batch is being committed the next one collects, so a single transaction at a time carries
// all appends of the process. That orders positions by commit, and one fsync answers dozens of requests. The next one may
// wait at the database already, behind the first on its connection.

import { AppError, type ErrorCode } from '../../errors.ts'
import type { AppendRequest } from '../event-log.ts'
import { isUnexpected } from '../pg-errors.ts'
import { AppendPace } from './append-pace.ts'
import { AppendQueue, type Batch, type QueueLimits, type Waiting } from './append-queue.ts'

/** Where the batches go: one, and maybe one behind it. */
export interface BatchSender<Answer> {
  /** Sends one batch; the answers come in the order of the requests. */
  send(requests: AppendRequest[], deadlineAt: number): Promise<Answer[]>
  /** Whether a batch that is sent now goes behind the one under way, on its connection. */
  readonly canFollow: boolean
  /** Whether another process appends too, so that the next batch probably waits for it. */
  readonly isShared: boolean
  /** Nothing waits to be sent after a batch was answered. */
  rest(): void
}

export interface GateLimits extends QueueLimits {
  /** Longest time from arrival to answer. */
  requestTimeoutMs: number
}

export interface GateObserver {
  /** A batch was answered; `seconds` from sending to the answer. */
  batchCommitted(events: number, seconds: number): void
  /** A request was refused because too much was waiting. */
  overloaded(): void
}

const SWEEP_MS = 100
/** The shortest that a timer can wait. */
const TICK_MS = 1
/** What a batch fails with that was surely not applied, and that says nothing about its content. */
const STORE_AWAY = new Set<ErrorCode>(['busy', 'pool_exhausted', 'database_unavailable'])

/** The queue before the one connection that appends. */
export class AppendGate<Answer> {
  readonly #sender: BatchSender<Answer>
  readonly #limits: GateLimits
  readonly #observer: GateObserver
  readonly #queue: AppendQueue<Answer>
  /** The batches under way, the first one before the other. */
  readonly #sent: Batch<Answer>[] = []
  readonly #pace = new AppendPace()
  #isClosed = false
  #isPumpAhead = false
  #isPumpLater = false
  #sweeper: NodeJS.Timeout | undefined
  #whenIdle: (() => void)[] = []

  constructor(sender: BatchSender<Answer>, limits: GateLimits, observer: GateObserver) {
    this.#sender = sender
    this.#queue = new AppendQueue(limits)
    this.#limits = limits
    this.#observer = observer
  }

  /** Events that wait to be sent. */
  get queuedEvents(): number {
    return this.#queue.events
  }

  /**
   * Queues one request and answers when its batch is committed.
   * @throws AppError `overloaded`, `shutting_down`, `commit_outcome_unknown`, or what the batch failed with
   */
  append(request: AppendRequest): Promise<Answer> {
    if (this.#isClosed) return Promise.reject(new AppError('shutting_down', 'The store is closing.'))
    const outcome = this.#queue.add(request)
    if (outcome === undefined) {
      this.#observer.overloaded()
      return Promise.reject(overloaded('Too many events are waiting to be stored.'))
    }
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS).unref()
    this.#pumpSoon()
    return outcome
  }

  /** Answers all that wait to be sent: behind a batch that waits in vain they would only wait as long. */
  refuseQueue(error: AppError): void {
    for (const waiting of this.#queue.takeAll()) waiting.reject(error)
  }

  /** Takes no more requests; resolves when those that wait are answered. */
  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#sent.length > 0 || this.#queue.length > 0)
      await new Promise<void>((resolve) => this.#whenIdle.push(resolve))
    clearInterval(this.#sweeper)
  }

  // After all that this turn of the event loop brings: the first one would leave alone.
  #pumpSoon(): void {
    if (this.#isPumpAhead) return
    this.#isPumpAhead = true
    setImmediate(() => {
      this.#isPumpAhead = false
      this.#pump()
    })
  }

  #pump(): void {
    while (this.#queue.length > 0 && (this.#sent.length === 0 ? !this.#isTimeToHold : this.#isTimeToFollow)) {
      const batch = this.#queue.take(this.#pace.most(this.#queue.length, this.#sender.isShared))
      // By the next turn of the event loop it has its connection, so that another one can follow.
      if (this.#sent.length === 0 && this.#queue.length > 0) this.#pumpSoon()
      this.#sent.push(batch)
      void this.#deliver(batch)
    }
    if (this.#sent.length > 0) return
    if (this.#queue.length > 0) return this.#pumpLater()
    this.#sender.rest()
    for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  #pumpLater(): void {
    if (this.#isPumpLater) return
    this.#isPumpLater = true
    setTimeout(() => {
      this.#isPumpLater = false
      this.#pump()
    }, TICK_MS)
  }

  /** Requests under way, and those that wait. */
  get #open(): number {
    return this.#sent.reduce((sum, { requests }) => sum + requests.length, this.#queue.length)
  }

  get #isTimeToHold(): boolean {
    return !this.#queue.isFull && this.#pace.isTimeToHold(this.#queue.length, this.#sender.isShared)
  }

  // Where another process has its turn after the one under way there is nothing to gain.
  get #isTimeToFollow(): boolean {
    if (this.#sent.length !== 1 || !this.#sender.canFollow || this.#sender.isShared) return false
    return this.#queue.isFull || this.#pace.isTimeToFollow(this.#queue.length)
  }

  // The next batch leaves before this one is answered, so that the database works while the answers are written.
  async #deliver(batch: Batch<Answer>): Promise<void> {
    const answer = await this.#outcome(batch)
    this.#sent.splice(this.#sent.indexOf(batch), 1)
    this.#pump()
    answer()
  }

  /** Sends the batch, and resolves to what tells its requests. */
  async #outcome({ waiting: batch, requests, events }: Batch<Answer>): Promise<() => void> {
    const sentAt = performance.now()
    const deadlineAt = (batch[0] as Waiting<Answer>).arrivedAt + this.#limits.requestTimeoutMs
    try {
      const answers = await this.#sender.send(requests, deadlineAt)
      this.#pace.answered(sentAt, this.#open)
      this.#observer.batchCommitted(events, (performance.now() - sentAt) / 1000)
      return () => {
        for (let i = 0; i < batch.length; i++) (batch[i] as Waiting<Answer>).resolve(answers[i] as Answer)
      }
    } catch (error) {
      // The content of one request may have caused it: its neighbours must not pay for it.
      if (batch.length > 1 && error instanceof AppError && isUnexpected(error)) {
        const outcomes: (() => void)[] = []
        for (const waiting of batch) {
          const alone = { waiting: [waiting], requests: [waiting.request], events: waiting.events }
          outcomes.push(await this.#outcome(alone))
        }
        return () => {
          for (const answer of outcomes) answer()
        }
      }
      if (error instanceof AppError && STORE_AWAY.has(error.code)) this.refuseQueue(error)
      return () => {
        for (const waiting of batch) waiting.reject(error)
      }
    }
  }

  #sweep(): void {
    const now = performance.now()
    if (this.#queue.length === 0 && this.#sent.length === 0) {
      clearInterval(this.#sweeper)
      this.#sweeper = undefined
      return
    }
    for (const waiting of this.#queue.takeStale()) {
      this.#observer.overloaded()
      waiting.reject(overloaded('The request waited too long to be stored.'))
    }
    for (const { waiting } of this.#sent) {
      for (const each of waiting) {
        if (now - each.arrivedAt > this.#limits.requestTimeoutMs) each.reject(outcomeUnknown())
      }
    }
  }
}

/** 503 `commit_outcome_unknown`: the batch was sent, and nothing could be learned of it in time. */
export const outcomeUnknown = (cause?: unknown): AppError =>
  new AppError('commit_outcome_unknown', 'The database did not say whether the events were stored.', { cause })

const overloaded = (detail: string): AppError => new AppError('overloaded', detail)
