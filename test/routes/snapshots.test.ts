// Snapshots over HTTP, on both stores. What only PostgreSQL can do wrong is in test/db/snapshots.test.ts.

import t from 'tap'
import type { AppParts } from '../../src/app.ts'
import { loadSettings } from '../../src/config.ts'
import { MeasuredPool } from '../../src/db/connections/pool.ts'
import { poolOptions } from '../../src/db/connections/pool-options.ts'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { eventLogOptions, PostgresEventLog, UNOBSERVED } from '../../src/db/postgres-event-log.ts'
import { PostgresSnapshots } from '../../src/db/snapshots/snapshots.ts'
import { FeedTail } from '../../src/follow/feed-tail.ts'
import { FollowHub } from '../../src/follow/follow-hub.ts'
import { startTestApp } from '../support/app.ts'
import { createTestDatabase, type Teardown } from '../support/postgres.ts'

async function onPostgres(t: Teardown): Promise<Partial<AppParts>> {
  const { url } = await createTestDatabase(t)
  await runMigrations(url)
  const { settings } = loadSettings({ DATABASE_URL: url })
  const pool = new MeasuredPool(poolOptions(settings, url, 'annals test'))
  t.teardown(() => pool.end())
  const log = new PostgresEventLog({ pool, ...eventLogOptions(settings), observer: UNOBSERVED })
  const tail = new FeedTail({ log, isWokenByOthers: () => false })
  t.teardown(() => tail.close())
  return {
    log,
    hub: new FollowHub({ log, tail, heartbeatMs: 200, limits: { maxPendingBytes: 1024 * 1024 } }),
    snapshots: new PostgresSnapshots({ pool, schema: 'public' }),
  }
}

interface Answer {
  status: number
  headers: Headers
  text: string
  // oxlint-disable-next-line typescript/no-explicit-any -- answers of many shapes are compared
  body: any
}

const STORES: [string, (t: Teardown) => Promise<Partial<AppParts>>][] = [
  ['in memory', async () => ({})],
  ['on PostgreSQL', onPostgres],
]

for (const [where, open] of STORES) {
  t.test(`snapshots over HTTP, ${where}`, async (t) => {
    const app = await startTestApp({ parts: await open(t) })
    t.teardown(app.close)

    const call = async (method: string, path: string, body?: unknown): Promise<Answer> => {
      const response = await fetch(app.url + path, {
        method,
        headers: body === undefined ? {} : { 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      return { status: response.status, headers: response.headers, text, body: text === '' ? null : JSON.parse(text) }
    }
    const get = (path: string) => call('GET', path)
    const pathOf = (stream: string) => `/streams/${encodeURIComponent(stream)}`
    const put = (stream: string, body: unknown) => call('PUT', `${pathOf(stream)}/snapshot`, body)
    const append = (stream: string, count: number, data: unknown = 0) =>
      call('POST', `${pathOf(stream)}/events`, { events: Array.from({ length: count }, () => ({ type: 'A', data })) })

    await t.test('a snapshot is new with 201, replaced with 200, and read as it was sent', async (t) => {
      const stream = 'file:lib/reply.js ü'
      await append(stream, 5)
      const created = await put(stream, { version: 3, state: { total: 1 } })
      t.equal(created.status, 201)
      t.match(created.body, { stream_id: stream, version: 3, content_type: 'application/json', created_at: /\d{6}Z$/ })
      t.notOk('state' in created.body)
      t.same((await get(`${pathOf(stream)}/snapshot`)).body, { ...created.body, state: { total: 1 } })
      const replaced = await put(stream, { version: 3, state_base64: 'AAH/', content_type: 'image/x' })
      t.match(replaced, { status: 200, body: { version: 3, content_type: 'image/x' } })
      const read = await get(`${pathOf(stream)}/snapshot`)
      t.same(read.body, { ...replaced.body, state_base64: 'AAH/' })
      t.equal(read.headers.get('content-type'), 'application/json; charset=utf-8')
      t.same((await fetch(`${app.url}${pathOf(stream)}/snapshot`, { method: 'HEAD' })).status, 200)
      t.equal((await put(stream, { version: 5, state: null })).status, 200)
      t.equal((await get(`${pathOf(stream)}/snapshot`)).body.state, null)
    })

    await t.test('a state keeps every digit, and its line breaks outside of texts become blanks', async (t) => {
      await append('digits', 1)
      const state = '{"n":9007199254740993,"d":0.1000000000000000055,"z":1.10,\n"__proto__":{"state":"a\\nb"}}'
      await put('digits', `{"version":1,"state":${state}}`)
      const stored = `"state":${state.replace('\n', ' ')}`
      t.ok((await get('/streams/digits/snapshot')).text.includes(stored))
      t.ok((await get('/streams/digits/state')).text.includes(stored))
    })

    await t.test('an older snapshot, one ahead of the stream, and one without a stream are refused', async (t) => {
      await append('order', 4)
      await put('order', { version: 3, state: 3 })
      t.match(await put('order', { version: 2, state: 2 }), {
        status: 409,
        body: { code: 'snapshot_older', stream_id: 'order', version: 2, snapshot_version: 3, outcome: 'not_applied' },
      })
      t.match(await put('order', { version: 5, state: 5 }), {
        status: 409,
        body: { code: 'snapshot_ahead', stream_id: 'order', version: 5, current_version: 4 },
      })
      t.equal((await get('/streams/order/snapshot')).body.state, 3)
      for (const [method, path] of [
        ['GET', '/streams/none/snapshot'],
        ['DELETE', '/streams/none/snapshot'],
        ['GET', '/streams/none/state'],
      ] as const) {
        t.match(await call(method, path), { status: 404, body: { code: 'stream_not_found' } }, `${method} ${path}`)
      }
      t.match(await put('none', { version: 1, state: 1 }), { status: 404, body: { code: 'stream_not_found' } })
      t.match(await put('a\u0000', { version: 1, state: 1 }), { status: 400, body: { code: 'stream_id_invalid' } })
    })

    await t.test('a deleted snapshot is not found any more, and deleting it again changes nothing', async (t) => {
      await append('gone', 2)
      t.match(await get('/streams/gone/snapshot'), { status: 404, body: { code: 'snapshot_not_found' } })
      await put('gone', { version: 2, state: 1 })
      for (let i = 0; i < 2; i++) {
        const { status, text } = await call('DELETE', '/streams/gone/snapshot')
        t.same([status, text], [204, ''])
      }
      t.match(await get('/streams/gone/snapshot'), { status: 404, body: { code: 'snapshot_not_found' } })
      t.equal((await put('gone', { version: 1, state: 1 })).status, 201)
    })

    await t.test('bodies are strict, and what is too large or can not be kept is refused', async (t) => {
      await append('strict', 9)
      const refused: [unknown, string, string][] = [
        [{ state: 1 }, '/version', 'required'],
        [{ version: '1', state: 1 }, '/version', 'integer_from_1'],
        [{ version: 1.5, state: 1 }, '/version', 'integer_from_1'],
        ['{"version":9007199254740993,"state":1}', '/version', 'integer_from_1'],
        [{ version: 1 }, '', 'state_or_state_base64'],
        [{ version: 1, state: 1, state_base64: 'AAAA' }, '', 'state_or_state_base64'],
        [{ version: 1, state_base64: 'AAAA=' }, '/state_base64', 'base64'],
        [{ version: 1, state: 1, content_type: 'text/plain' }, '/content_type', 'json_media_type'],
        [{ version: 1, state: 1, stream_id: 'strict' }, '/stream_id', 'unknown_member'],
        ['{"version":1,"version":1,"state":1}', '/version', 'duplicate_key'],
        ['{"version":1,"state":{"a":1,"a":2}}', '/state/a', 'duplicate_key'],
        ['[]', '', 'object'],
      ]
      for (const [body, pointer, rule] of refused) {
        const answer = await put('strict', body)
        t.match(
          answer,
          { status: 400, body: { code: 'validation_failed', errors: [{ pointer, rule }] } },
          JSON.stringify(body),
        )
      }
      const unstorable: [string, string, string][] = [
        ['{"a":["\\u0000"]}', '/state/a/0', 'nul_character'],
        ['"\\ud800"', '/state', 'lone_surrogate'],
        ['1e400', '/state', 'number_out_of_range'],
        [`${'['.repeat(65)}${']'.repeat(65)}`, '/state', 'too_deep'],
      ]
      for (const [state, pointer, rule] of unstorable) {
        const answer = await put('strict', `{"version":1,"state":${state}}`)
        t.match(answer.body, { status: 422, code: 'unstorable_value' }, rule)
        t.match(answer.body.errors[0].pointer, new RegExp(`^${pointer}`))
        t.equal(answer.body.errors[0].rule, rule)
      }
      const large = 'x'.repeat(1024 * 1024)
      t.match(await put('strict', { version: 1, state: large }), {
        status: 413,
        body: { code: 'payload_too_large', limit_bytes: 1024 * 1024, errors: [{ pointer: '/state' }] },
      })
      t.equal((await put('strict', { version: 1, state: large.slice(2) })).status, 201)
      t.equal((await get('/streams/strict/snapshot')).body.state.length, 1024 * 1024 - 2)
      t.equal((await put('strict', 'no JSON')).status, 400)
      const typed = await fetch(`${app.url}/streams/strict/snapshot`, { method: 'PUT', body: '{}' })
      t.equal(typed.status, 415)
    })

    await t.test('the state goes on as a page of the stream where it ends', async (t) => {
      await append('state', 30)
      const versions = ({ body }: Answer) => body.events.map((event: { version: number }) => event.version)
      const first = await get('/streams/state/state?limit=10')
      t.match(first.body, { stream_id: 'state', version: 30, snapshot: null })
      t.same([versions(first)[0], versions(first).at(-1)], [1, 10])
      t.equal(first.body.next, '/streams/state/events?from_version=11&limit=10')
      await put('state', { version: 17, state: { n: 17 } })
      const whole = await get('/streams/state/state')
      t.same(whole.body.snapshot, (await get('/streams/state/snapshot')).body)
      t.same(whole.body.events, (await get('/streams/state/events?from_version=18')).body.events)
      t.equal(whole.body.next, null)
      const seen = []
      const page = await get('/streams/state/state?limit=5')
      seen.push(...versions(page))
      for (let next = page.body.next; next !== null; ) {
        const following = await get(next)
        seen.push(...versions(following))
        next = following.body.next
      }
      t.same(
        seen,
        Array.from({ length: 13 }, (_, i) => 18 + i),
      )
      await put('state', { version: 30, state: 1 })
      t.match((await get('/streams/state/state?limit=1')).body, { events: [], next: null, snapshot: { version: 30 } })
      for (const query of ['limit=0', 'limit=1001', 'from_version=1', 'limit=1&limit=1']) {
        t.equal((await get(`/streams/state/state?${query}`)).status, 400, query)
      }
    })

    await t.test('a state of large events is bounded by bytes too', async (t) => {
      for (let i = 0; i < 5; i++) await append('large', 4, 'x'.repeat(1_000_000))
      const { body } = await get('/streams/large/state')
      t.equal(body.version, 20)
      t.ok(body.events.length >= 16 && body.events.length < 20, `${body.events.length} events of 1 MB`)
      t.equal(body.next, `/streams/large/events?from_version=${body.events.length + 1}&limit=1000`)
    })

    await t.test('a stream tells of its snapshot, and the coverage lists those that are far ahead of it', async (t) => {
      for (const stream of ['zz-a', 'zz-b', 'zz-c', 'zz-d']) await append(stream, 120)
      const { body: saved } = await put('zz-b', { version: 20, state: 1 })
      await put('zz-c', { version: 19, state: 1 })
      t.match((await get('/streams/zz-a')).body, { version: 120, snapshot: null, events_since_snapshot: 120 })
      t.match((await get('/streams/zz-b')).body, {
        version: 120,
        snapshot: { version: 20, created_at: saved.created_at },
        events_since_snapshot: 100,
      })
      const all = await get('/snapshots/coverage')
      t.match(all, { status: 200, body: { snapshot_every: 100, next: null } })
      t.same(
        all.body.streams.map((stream: { stream_id: string }) => stream.stream_id),
        ['zz-a', 'zz-c', 'zz-d'],
        'exactly SNAPSHOT_EVERY is not behind',
      )
      t.match(all.body.streams[1], { version: 120, snapshot: { version: 19 }, events_since_snapshot: 101 })
      const { length } = (await get('/streams?limit=1000')).body.streams
      t.equal(all.body.checked, length)
      const first = await get('/snapshots/coverage?limit=2')
      t.equal(first.body.next, '/snapshots/coverage?after=zz-c&limit=2')
      const second = await get(first.body.next)
      t.same([...first.body.streams, ...second.body.streams], all.body.streams)
      t.equal(first.body.checked + second.body.checked, length)
      t.equal((await get('/snapshots/coverage?limit=0')).status, 400)
      t.equal((await get('/snapshots/coverage?behind=5')).status, 400)
    })

    await t.test('a read waits for the position that it asks for', async (t) => {
      const { body } = await append('later', 1)
      const late = `at_least=${body.position + 1}`
      for (const path of ['/streams/later/snapshot', '/streams/later/state', '/snapshots/coverage']) {
        t.match(await get(`${path}?${late}&at_least_wait=0`), { status: 503, body: { code: 'not_yet_visible' } }, path)
      }
      t.equal((await get(`/streams/later/state?at_least=${body.position}`)).status, 200)
    })
  })
}

t.test('reading snapshots needs the scope read, changing them append', async (t) => {
  const read = 'reader-0123456789abcdef'
  const write = 'writer-0123456789abcdef'
  const app = await startTestApp({ tokens: `read:${read},append:${write}` })
  t.teardown(app.close)
  const status = async (method: string, path: string, token: string) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const body = method === 'PUT' ? { body: '{"version":1,"state":1}' } : {}
    return (
      await fetch(app.url + path, {
        method,
        headers: method === 'PUT' ? headers : { authorization: headers.authorization },
        ...body,
      })
    ).status
  }
  for (const [method, path] of [
    ['GET', '/streams/s/snapshot'],
    ['GET', '/streams/s/state'],
    ['GET', '/snapshots/coverage'],
  ] as const) {
    t.equal(await status(method, path, write), 403, `${method} ${path}`)
    t.not(await status(method, path, read), 403)
  }
  for (const method of ['PUT', 'DELETE']) {
    t.equal(await status(method, '/streams/s/snapshot', read), 403, method)
    t.equal(await status(method, '/streams/s/snapshot', write), 404)
  }
})
