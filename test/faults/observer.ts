// Asks a service all the time, as its clients and probes do, and notes what it answered and when.

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

export type Question = 'live' | 'ready' | 'append' | 'read'

export interface Answer {
  question: Question
  /** By performance.now(): when it was asked. */
  askedAt: number
  tookMs: number
  /** 0 when there was none. */
  status: number
  code: string | undefined
  outcome: string | undefined
  hasRetryAfter: boolean
  reasons: string[] | undefined
}

const EVERY_MS = { live: 50, ready: 50, append: 100, read: 100 } as const
/** No answer at all within this is a hang. */
const HANG_MS = 30_000

export class Observer {
  readonly startedAt = performance.now()
  readonly answers: Answer[] = []
  /** Ids of events that were acknowledged. */
  readonly stored = new Set<string>()
  readonly #url: string
  readonly #stream = `observed-${randomUUID()}`
  readonly #timers: NodeJS.Timeout[] = []
  readonly #open = new Set<Promise<void>>()

  constructor(url: string) {
    this.#url = url
    for (const [question, everyMs] of Object.entries(EVERY_MS)) {
      this.#timers.push(setInterval(() => void this.ask(question as Question), everyMs))
    }
  }

  /** Asks once, beside what is asked by itself. */
  ask(question: Question): Promise<void> {
    const asking = this.#ask(question).finally(() => this.#open.delete(asking))
    this.#open.add(asking)
    return asking
  }

  /** Answers to questions that were asked from then on. */
  since(at: number, question?: Question): Answer[] {
    return this.answers.filter((answer) => answer.askedAt >= at && (question ?? answer.question) === answer.question)
  }

  /** Milliseconds from `at` until a question got an answer that was wanted. @throws after `limitMs` */
  async until(
    at: number,
    question: Question,
    isWanted: (answer: Answer) => boolean,
    limitMs = 60_000,
  ): Promise<number> {
    for (;;) {
      const found = this.since(at, question).find(isWanted)
      if (found !== undefined) return found.askedAt + found.tookMs - at
      if (performance.now() - at > limitMs) {
        throw new Error(`no such answer to ${question} within ${limitMs} ms: ${JSON.stringify(this.summary(at))}`)
      }
      await sleep(10)
    }
  }

  /** How often each answer was given. */
  summary(at = 0): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const { question, status, code, outcome } of this.since(at)) {
      const key = [question, status, code, outcome].filter((part) => part !== undefined).join(' ')
      counts[key] = (counts[key] ?? 0) + 1
    }
    return counts
  }

  slowest(question?: Question, at = 0): number {
    return Math.max(0, ...this.since(at, question).map(({ tookMs }) => tookMs))
  }

  /** Asks no more; resolves when all questions are answered. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await Promise.all(this.#open)
  }

  async #ask(question: Question): Promise<void> {
    const askedAt = performance.now()
    const id = randomUUID()
    const event = { id, type: 'Observed', data: { askedAt } }
    const init: RequestInit =
      question === 'append'
        ? {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ events: [event] }),
          }
        : {}
    const path = {
      live: '/health/live',
      ready: '/health/ready',
      append: `/streams/${this.#stream}/events`,
      read: '/events?limit=10',
    }[question]
    let status = 0
    let body: Record<string, unknown> = {}
    let hasRetryAfter = false
    try {
      const answer = await fetch(this.#url + path, { ...init, signal: AbortSignal.timeout(HANG_MS) })
      body = (await answer.json()) as Record<string, unknown>
      status = answer.status
      hasRetryAfter = answer.headers.has('retry-after')
    } catch (error) {
      body = { code: ((error as Error).cause as { code?: string } | undefined)?.code ?? (error as Error).name }
    }
    if (question === 'append' && status === 201) this.stored.add(id)
    this.answers.push({
      question,
      askedAt,
      tookMs: performance.now() - askedAt,
      status,
      code: body['code'] as string | undefined,
      outcome: body['outcome'] as string | undefined,
      hasRetryAfter,
      reasons: body['reasons'] as string[] | undefined,
    })
  }
}
