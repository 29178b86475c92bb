// Lets a fault happen to a service under load, and compares what it answers with what is promised. Limits are those of
// a hang; with FAULT_LIMITS=contract they are the promised ones, for a machine that does nothing else.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { type Teardown } from '../support/postgres.ts'
import { until } from '../support/service.ts'
import { Observer } from './observer.ts'

export const isContract = process.env['FAULT_LIMITS'] === 'contract'
/** How long a fault lasts: in the suite long enough to be noticed. */
export const lasting = (ms: number) => (isContract ? ms : ms / 3)
/** Settings of the service: the defaults where what is promised is asserted, else a ladder that makes hanging short. */
export const SERVICE = {
  MIGRATE_ON_START: 'on',
  LOG_LEVEL: 'fatal',
  ...(!isContract && {
    DATABASE_CONNECT_TIMEOUT_MS: '1000',
    DATABASE_ACQUIRE_TIMEOUT_MS: '1500',
    DATABASE_LOCK_TIMEOUT_MS: '600',
    DATABASE_STATEMENT_TIMEOUT_MS: '1200',
    DATABASE_QUERY_TIMEOUT_MS: '1800',
    APPEND_QUEUE_TIMEOUT_MS: '2500',
    REQUEST_TIMEOUT_MS: '2800',
  }),
}
/** The promised time where that is asserted, else what would be a hang. */
const within = (promisedMs: number) => (isContract ? promisedMs : promisedMs * 4 + 5_000)
const ANSWER_MS = 8_000
const LIVE_MS = 50

export interface Follower {
  positions: number[]
  isOpen: boolean
}

/** Follows the feed on one connection that is never opened again. */
export async function follow(t: Teardown, url: string): Promise<Follower> {
  const stop = new AbortController()
  const { body } = await fetch(`${url}/events`, { headers: { accept: 'text/event-stream' }, signal: stop.signal })
  const follower: Follower = { positions: [], isOpen: true }
  t.teardown(() => stop.abort())
  void (async () => {
    let text = ''
    for await (const chunk of (body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
      const lines = (text + chunk).split('\n')
      text = lines.pop() as string
      for (const line of lines) if (line.startsWith('id: ')) follower.positions.push(Number(line.slice(4)))
    }
    follower.isOpen = false
  })().catch(() => {
    follower.isOpen = false
  })
  return follower
}

export interface Fault {
  begin(): unknown
  lastsMs: number
  end(): unknown
}

export interface Promised {
  /** Until readiness says 503, or undefined when it has to stay 200. */
  readyMs?: number
  /** Reasons that readiness gives. */
  reasons?: string[]
  appends: RegExp
  reads: RegExp
  /** Every answer to a request of data. */
  answerMs?: number
  recoverMs: number
}

/** Lets a fault happen under load, and compares with what is promised. */
export async function prove(t: Test, url: string, fault: Fault, promised: Promised): Promise<Observer> {
  const observer = new Observer(url)
  t.teardown(() => observer.stop())
  await observer.until(performance.now(), 'append', ({ status }) => status === 201)
  const beganAt = performance.now()
  await fault.begin()
  const sinceMs = performance.now()
  if (promised.readyMs !== undefined) {
    const tookMs = await observer.until(beganAt, 'ready', ({ status }) => status === 503)
    t.ok(tookMs < within(promised.readyMs), `not ready after ${tookMs.toFixed(0)} ms`)
  }
  await sleep(Math.max(0, fault.lastsMs - (performance.now() - sinceMs)))
  const during = observer.since(sinceMs)
  await fault.end()
  const endedAt = performance.now()
  for (const question of ['ready', 'append', 'read'] as const) {
    const isWell = ({ status }: { status: number }) => status === (question === 'append' ? 201 : 200)
    const tookMs = await observer.until(endedAt, question, isWell, 60_000)
    t.ok(tookMs < within(promised.recoverMs), `${question} is well ${tookMs.toFixed(0)} ms after the end`)
  }
  // What was asked during the fault is answered too.
  await observer.stop()
  const { answers } = observer
  t.same(
    answers.filter(({ status }) => ![200, 201, 503].includes(status)),
    [],
    'nothing but 2xx and 503',
  )
  t.same(
    answers.filter(({ status, hasRetryAfter }) => status === 503 && !hasRetryAfter),
    [],
    '503 says when to retry',
  )
  t.same(
    answers.filter(({ question, status }) => question === 'live' && status !== 200),
    [],
    'it stays alive',
  )
  t.ok(observer.slowest('live') < within(LIVE_MS), `alive within ${observer.slowest('live').toFixed(0)} ms`)
  const slowestMs = Math.max(observer.slowest('append'), observer.slowest('read'))
  t.ok(slowestMs < within(promised.answerMs ?? ANSWER_MS), `answered within ${slowestMs.toFixed(0)} ms`)
  const codesOf = (question: 'append' | 'read') => [
    ...new Set(during.filter((each) => each.question === question).map(({ status, code }) => code ?? String(status))),
  ]
  for (const code of codesOf('append')) t.match(code, promised.appends)
  for (const code of codesOf('read')) t.match(code, promised.reads)
  const ready = during.filter(({ question }) => question === 'ready')
  if (promised.readyMs === undefined)
    t.same(
      ready.filter(({ status }) => status !== 200),
      [],
      'it stays ready',
    )
  for (const reasons of ready.flatMap((each) => each.reasons ?? [])) {
    t.ok((promised.reasons ?? ['database']).includes(reasons), reasons)
  }
  t.comment(`${((performance.now() - observer.startedAt) / 1_000).toFixed(1)} s`, JSON.stringify(observer.summary()))
  await sleep(500)
  return observer
}

/** All that was acknowledged is there once, in one order. */
export async function checkFeed(t: Test, url: string, ids: Iterable<string>, follower?: Follower): Promise<void> {
  const text = await (await fetch(`${url}/events`, { headers: { accept: 'application/x-ndjson' } })).text()
  const events = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string; position: number })
  t.same(
    events.map(({ position }) => position),
    events.map((_, i) => i + 1),
    'positions without holes',
  )
  const stored = new Set(events.map(({ id }) => id))
  t.equal(stored.size, events.length, 'nothing twice')
  t.same(
    [...ids].filter((id) => !stored.has(id)),
    [],
    'nothing lost',
  )
  if (follower === undefined) return
  await until(() => follower.positions.length >= events.length)
  t.same(
    follower.positions,
    events.map(({ position }) => position),
    'the follower got it all, in order, once',
  )
  t.equal(follower.isOpen, true, 'on one connection')
}
