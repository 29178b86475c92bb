// A store whose positions went back: no reader goes on in it as if nothing had happened.

import { randomUUID } from 'node:crypto'
import t from 'tap'
import { type AnnalsError, createClient, type StoredEvent } from '../src/client/client.ts'
import { runMigrations } from '../src/db/migrations/migrator.ts'
import { createTestDatabase, runSql } from './support/postgres.ts'
import { ask, startTestService, until } from './support/service.ts'

const EVENT_ID = randomUUID()

let url: string
let databaseUrl: string
t.before(async () => {
  databaseUrl = (await createTestDatabase(t)).url
  await runMigrations(databaseUrl)
  const service = await startTestService(t, { DATABASE_URL: databaseUrl, LOG_LEVEL: 'silent', HEARTBEAT_SECONDS: '1' })
  await service.ready
  url = service.url
  await createClient({ url }).append('s', [{ id: EVENT_ID, type: 'A' }, { type: 'B' }, { type: 'C' }])
  await json('PUT', '/consumers/c', {})
  await json('PUT', '/streams/s/snapshot', { version: 1, state: {} })
})

const json = (method: string, path: string, body: object, headers: Record<string, string> = {}) =>
  ask(url + path, { method, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) })

/** Status, header and, where the answer ends, what it says; one that goes on is left. */
async function get(path: string, headers: Record<string, string> = {}) {
  const leave = new AbortController()
  const response = await fetch(url + path, { headers, signal: leave.signal })
  const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json') ?? false
  const problem = (isProblem ? await response.json() : {}) as { code?: string; epoch?: string; head?: number }
  leave.abort()
  return { status: response.status, epoch: response.headers.get('annals-epoch'), problem }
}

const NDJSON = { accept: 'application/x-ndjson' }
const SSE = { accept: 'text/event-stream' }
const READS: [what: string, path: string, headers: Record<string, string>][] = [
  ['a page of the feed', '/events', {}],
  ['a page backwards', '/events?direction=backward', {}],
  ['a long poll', '/events?after=1&wait=1', {}],
  ['lines', '/events', NDJSON],
  ['lines that go on', '/events?follow=true', NDJSON],
  ['server-sent events', '/events', SSE],
  ['a page of a stream', '/streams/s/events', {}],
  ['lines of a stream', '/streams/s/events', NDJSON],
  ['server-sent events of a stream', '/streams/s/events', SSE],
  ['the events of a consumer', '/consumers/c/events', {}],
  ['server-sent events of a consumer', '/consumers/c/events', SSE],
  ['where a stream stands', '/streams/s', {}],
  ['the list of streams', '/streams', {}],
  ['an event', `/events/${EVENT_ID}`, {}],
  ['a snapshot', '/streams/s/snapshot', {}],
  ['a state', '/streams/s/state', {}],
  ['the coverage of snapshots', '/snapshots/coverage', {}],
]
const withEpoch = (path: string, epoch: string) => `${path}${path.includes('?') ? '&' : '?'}epoch=${epoch}`

t.test(
  'every answer that tells positions or versions says its epoch, and a request that brings another one is refused',
  async (t) => {
    const { epoch } = await get('/events')
    t.match(epoch, /^[0-9a-f-]{36}\.1$/)
    const known = epoch as string
    for (const [what, path, headers] of READS) {
      t.match(await get(path, headers), { status: 200, epoch }, what)
      t.match(await get(withEpoch(path, known), { ...headers, 'annals-epoch': known }), { status: 200, epoch }, what)
      const refused = { status: 409, epoch, problem: { code: 'epoch_changed', epoch } }
      t.match(await get(withEpoch(path, 'another'), headers), refused, `${what}, by the query`)
      t.match(await get(path, { ...headers, 'annals-epoch': 'another' }), refused, `${what}, by the header`)
      t.match(
        await get(withEpoch(path, known), { ...headers, 'annals-epoch': 'another' }),
        refused,
        `${what}, by either`,
      )
    }
    const claim = (headers = {}) => json('POST', '/consumers/c/claim', { member: 'm' }, headers)
    const claimed = await claim({ 'annals-epoch': known })
    t.equal(claimed.headers.get('annals-epoch'), epoch)
    t.match(await claim({ 'annals-epoch': 'another' }), { status: 409, body: { code: 'epoch_changed' } })
    await json('POST', '/consumers/c/ack', { token: claimed.body['token'] })
  },
)

t.test('a cursor ahead of the feed is refused in every form; one at its end is fine', async (t) => {
  const feed = READS.filter(([, path]) => path.split('?')[0] === '/events' && !path.includes('backward'))
  for (const [what, path, headers] of feed) {
    const at = (after: number) =>
      `${path.split('?')[0]}?${new URLSearchParams({ ...queryOf(path), after: String(after) })}`
    t.match(await get(at(3), headers), { status: 200 }, what)
    const answer = await get(at(4), headers)
    t.match(answer, { status: 409, problem: { code: 'cursor_ahead', head: 3 } }, what)
  }
  // A filter changes nothing about it; a stream is read beyond its end without complaint.
  t.match(await get('/events?after=4&type=None'), { status: 409, problem: { code: 'cursor_ahead' } })
  t.match(await get('/streams/s/events?from_version=9'), { status: 200 })
  t.match(await get('/events?direction=backward&before=9'), { status: 200 })
})

const queryOf = (path: string) => Object.fromEntries(new URL(path, url).searchParams)

t.test('a consumer whose place the store has not reached is refused', async (t) => {
  await json('PUT', '/consumers/ahead', {})
  await runSql(databaseUrl, `UPDATE annals_consumer_partitions SET checkpoint = 9 WHERE consumer = 'ahead'`)
  const refused = { status: 409, problem: { code: 'cursor_ahead', head: 3 } }
  t.match(await get('/consumers/ahead/events'), refused)
  t.match(await get('/consumers/ahead/events', SSE), refused)
  const claimed = await json('POST', '/consumers/ahead/claim', { member: 'm' })
  t.match(claimed, { status: 409, body: { code: 'cursor_ahead' } })
  await json('POST', '/consumers/ahead/reset', { position: 0 })
  t.match(await get('/consumers/ahead/events'), { status: 200 })
})

const RENEW = 'UPDATE annals_head SET epoch = gen_random_uuid()'
const KILL = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()`

t.test('when the epoch is renewed and connections are cut, the very next answer knows', async (t) => {
  for (let i = 0; i < 5; i++) {
    const { epoch } = await get('/events')
    await runSql(databaseUrl, RENEW)
    await runSql(databaseUrl, KILL)
    const { status, problem } = await get(withEpoch('/events?after=3', epoch as string))
    t.match({ status, code: problem.code }, { status: 409, code: 'epoch_changed' })
  }
})

t.test('a renewed epoch ends those who follow, and the client says so', async (t) => {
  const client = createClient({ url, retry: { minDelayMs: 1, maxDelayMs: 10 } })
  const seen: StoredEvent[] = []
  let connects = 0
  let known: string | undefined
  const following = (async () => {
    const onConnect = (_: number, epoch: string | undefined) => {
      connects++
      known = epoch
    }
    for await (const event of client.follow({ onConnect })) seen.push(event)
  })().catch((error: AnnalsError) => error)
  const consuming = client.consume('c', () => {}, { waitSeconds: 1 }).catch((error: AnnalsError) => error)
  await until(() => seen.length === 3)
  const lines = await fetch(`${url}/events?follow=true`, { headers: NDJSON })
  const before = known as string
  t.equal(before, (await get('/events')).epoch)

  // Nobody cuts a connection: the health check finds it.
  await runSql(databaseUrl, RENEW)
  t.match(await following, { code: 'epoch_changed', status: 409, retryable: false })
  t.equal(connects, 1)
  t.match(await consuming, { code: 'epoch_changed' })
  const last = (await lines.text()).trim().split('\n').at(-1) as string
  const { epoch } = await get('/events')
  t.match(JSON.parse(last), {
    goodbye: true,
    reason: 'epoch_changed',
    position: 3,
    problem: { code: 'epoch_changed', epoch },
  })

  t.not(epoch, before)
  const page = client.readFeed({ epoch: before, after: 3 }).all()
  await t.rejects(page, { code: 'epoch_changed', problem: { epoch: epoch as string } })
  t.same(await client.readFeed({ epoch: epoch as string, after: 3 }).all(), [])
  const again = client.follow({ after: 3, epoch: before })[Symbol.asyncIterator]()
  await t.rejects(again.next(), { code: 'epoch_changed' })

  // Whoever joins now follows the store as it is.
  const stop = new AbortController()
  const next = client.follow({ after: 3, signal: stop.signal })[Symbol.asyncIterator]()
  const arriving = next.next()
  await client.append('s', [{ type: 'D' }])
  t.match(await arriving, { value: { position: 4, type: 'D' } })
  stop.abort()
})

t.test('a reader of pages that is overtaken by another epoch does not go on', async (t) => {
  const client = createClient({ url })
  const pages = client.readFeed({ pageSize: 2 })[Symbol.asyncIterator]()
  await pages.next()
  await pages.next()
  await runSql(databaseUrl, RENEW)
  await runSql(databaseUrl, KILL)
  await t.rejects(pages.next(), { code: 'epoch_changed' })
})
