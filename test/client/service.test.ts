// The client against the whole service on PostgreSQL: lost answers, and consumers.

import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { AnnalsError, createClient, type HandlerContext, type StoredEvent } from '../../src/client/client.ts'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { faultyFetch, problemAnswer } from '../support/faulty-fetch.ts'
import { createTestDatabase } from '../support/postgres.ts'
import { startTestService, until } from '../support/service.ts'

let url: string
t.before(async () => {
  const database = await createTestDatabase(t)
  await runMigrations(database.url)
  const service = await startTestService(t, { DATABASE_URL: database.url, LOG_LEVEL: 'silent' })
  await service.ready
  url = service.url
})

const retry = { minDelayMs: 1, maxDelayMs: 5 }
const numbers = (length: number) => Array.from({ length }, (_, i) => i + 1)
const eventsOf = (length: number) => numbers(length).map((n) => ({ type: 'E', data: n }))

t.test('appends whose answers are lost after the commit are stored once, and followers see each once', async (t) => {
  const clean = createClient({ url })
  const start = await clean.head()
  const { fetch, bodies } = faultyFetch((count) => (count % 3 === 0 ? 'fine' : count % 3 === 1 ? 'after' : 'cut'))
  const annals = createClient({ url, fetch, retry })
  const following = (async () => {
    const seen: unknown[] = []
    for await (const { data } of clean.follow({ after: start })) if (seen.push(data) === 60) break
    return seen
  })()
  for (let n = 0; n < 30; n++) {
    const { replayed, version } = await annals.append('lost', eventsOf(2), { expectedVersion: 2 * n })
    t.match({ replayed, version }, { replayed: true, version: 2 * n + 2 })
  }
  t.equal(bodies.length, 90)
  t.equal((await clean.readStream('lost').all()).length, 60)
  t.same(
    await following,
    numbers(30).flatMap(() => [1, 2]),
  )
})

t.test('members share the events of a consumer, each stream in order, until the signal', async (t) => {
  const annals = createClient({ url, retry })
  t.match(await annals.saveConsumer('shared', { filter: { types: ['S'] }, start: 'head', partitions: 4 }), {
    lag_events: 0,
  })
  const streams = ['sa', 'sb', 'sc', 'sd', 'se']
  for (const n of numbers(20)) for (const stream of streams) await annals.append(stream, [{ type: 'S', data: n }])
  const seen = new Map<string, unknown[]>()
  const stop = new AbortController()
  const handler = async ({ stream_id, data }: StoredEvent) => {
    seen.set(stream_id, [...(seen.get(stream_id) ?? []), data])
    if (data === 10) await sleep(5)
  }
  const options = { signal: stop.signal, limit: 10, waitSeconds: 1 }
  const members = [1, 2, 3].map(() => annals.consume('shared', handler, options))
  await until(async () => (await annals.consumerInfo('shared')).lag_events === 0)
  stop.abort()
  await Promise.all(members)
  t.same([...seen.keys()].toSorted(), streams)
  for (const all of seen.values()) t.same(all, numbers(20))
})

t.test('an event whose handler throws comes again, one that is parked does not, and the others are done', async (t) => {
  const annals = createClient({ url, retry })
  await annals.saveConsumer('failing', { filter: { stream_prefix: 'f' }, start: 'head', partitions: 1 })
  await annals.append('f1', eventsOf(5))
  const seen: [unknown, number][] = []
  const errors: [string, unknown][] = []
  const stop = new AbortController()
  const handler = ({ data }: StoredEvent, { attempt, park }: HandlerContext) => {
    seen.push([data, attempt])
    if (data === 2 && attempt === 1) throw new Error('not today')
    if (data === 4) park('no such customer')
  }
  const onError = (error: unknown, event?: StoredEvent) => void errors.push([(error as Error).message, event?.data])
  const consuming = annals.consume('failing', handler, { signal: stop.signal, waitSeconds: 1, onError })
  await until(async () => (await annals.consumerInfo('failing')).lag_events === 0)
  stop.abort()
  await consuming
  t.same(seen, [
    [1, 1],
    [2, 1],
    [2, 2],
    [3, 1],
    [4, 1],
    [5, 1],
  ])
  t.same(errors, [['not today', 2]])
  const { parked } = (await (await fetch(`${url}/consumers/failing/parked`)).json()) as { parked: object[] }
  t.match(parked, [{ reason: 'no such customer', attempts: 1, event: { data: 4 } }])
})

t.test('a lease is renewed while a handler works, and what was not begun goes back when it ends', async (t) => {
  const annals = createClient({ url, retry })
  await annals.saveConsumer('slow', {
    filter: { stream_prefix: 'slow' },
    start: 'head',
    partitions: 1,
    lease_seconds: 3,
  })
  await annals.append('slow', eventsOf(4))
  const stop = new AbortController()
  const seen: unknown[] = []
  await annals.consume(
    'slow',
    async ({ data }, { attempt, signal }) => {
      seen.push([data, attempt])
      if (data !== 2) return
      await sleep(6_000)
      t.notOk(signal.aborted)
      stop.abort()
    },
    { signal: stop.signal },
  )
  t.same(seen, [
    [1, 1],
    [2, 1],
  ])
  t.match(await annals.consumerInfo('slow'), { in_flight: 0, lag_events: 2 })
  const next = new AbortController()
  await annals.consume(
    'slow',
    ({ data }, { attempt }) => {
      seen.push([data, attempt])
      if (data === 4) next.abort()
    },
    { signal: next.signal, member: 'another' },
  )
  t.same(seen.slice(2), [
    [3, 1],
    [4, 1],
  ])
})

t.test('a handler is told that its lease is lost, and others get its events', async (t) => {
  const annals = createClient({ url, retry })
  await annals.saveConsumer('taken', {
    filter: { stream_prefix: 'taken' },
    start: 'head',
    partitions: 1,
    lease_seconds: 3,
  })
  await annals.append('taken', eventsOf(1))
  const stop = new AbortController()
  let times = 0
  const handler = async (_: StoredEvent, { signal }: HandlerContext) => {
    if (++times === 2) return stop.abort()
    // Whoever moves a consumer takes all leases away.
    await fetch(`${url}/consumers/taken/reset`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ position: (await annals.head()) - 1 }),
    })
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  }
  await annals.consume('taken', handler, { signal: stop.signal, waitSeconds: 1 })
  t.equal(times, 2)
  t.match(await annals.consumerInfo('taken'), { lag_events: 0, in_flight: 0 })
})

t.test('consuming outlives a service that is away, and throws what can not be mended', async (t) => {
  const { fetch } = faultyFetch((count) => (count <= 12 ? problemAnswer('shutting_down', 503) : 'fine'))
  const annals = createClient({ url, fetch, retry })
  await createClient({ url }).saveConsumer('away', { filter: { stream_prefix: 'away' }, start: 'head' })
  await createClient({ url }).append('away', eventsOf(1))
  const stop = new AbortController()
  const codes: unknown[] = []
  const onError = (error: unknown) => void codes.push((error as AnnalsError).code)
  await annals.consume('away', () => stop.abort(), { signal: stop.signal, onError })
  t.same(codes, ['shutting_down'])
  await t.rejects(
    annals.consume('nobody', () => {}),
    { name: 'AnnalsError', code: 'consumer_not_found' },
  )
})
