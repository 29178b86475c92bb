// The client against the service over memory: appends, retries, reads, snapshots.

import t from 'tap'
import { AnnalsError, createClient } from '../../src/client/client.ts'
import { newEventId } from '../../src/client/event-id.ts'
import { readRetryAfter } from '../../src/client/retry.ts'
import { startTestApp } from '../support/app.ts'
import { type Fate, faultyFetch, problemAnswer } from '../support/faulty-fetch.ts'

let url: string
t.before(async () => {
  const app = await startTestApp()
  url = app.url
  t.teardown(app.close)
})

const quick = { minDelayMs: 1, maxDelayMs: 2 }
const faulty = (fateOf: (count: number) => Fate, attempts = 8) => {
  const { fetch, bodies } = faultyFetch(fateOf)
  return { client: createClient({ url, fetch, retry: { ...quick, attempts } }), bodies }
}
const client = () => createClient({ url, retry: quick })

/** The error that a call fails with. */
async function failureOf(call: Promise<unknown>): Promise<AnnalsError> {
  try {
    await call
  } catch (error) {
    if (error instanceof AnnalsError) return error
    throw error
  }
  throw new Error('it did not fail')
}

t.test('an append answers where its events are, and a conflict says which version the stream has', async (t) => {
  const annals = client()
  const placed = await annals.append('order/1', [{ type: 'OrderPlaced', data: { total: 10 } }], { expectedVersion: 0 })
  t.match(placed, { stream_id: 'order/1', first_version: 1, version: 1, replayed: false })
  const error = await failureOf(annals.append('order/1', [{ type: 'OrderPaid' }], { expectedVersion: 0, resync: true }))
  t.match(error, { name: 'AnnalsError', code: 'version_conflict', status: 409, retryable: false })
  t.match(error, { outcome: 'not_applied', message: 'The stream is at version 1, not at 0.' })
  t.match(error.problem, { current_version: 1, events: [{ type: 'OrderPlaced' }] })
  t.equal(error.request_id, error.problem?.request_id)
})

t.test(
  'an append whose answers are lost is stored once, whatever is lost and whatever version is expected',
  async (t) => {
    for (const fate of ['before', 'after', 'cut'] as const) {
      const { client, bodies } = faulty((count) => (count <= 3 ? fate : 'fine'))
      const stream = `lost-${fate}`
      const answer = await client.append(stream, [{ type: 'A' }, { type: 'B', data: 1 }], { expectedVersion: 0 })
      t.equal(answer.replayed, fate !== 'before')
      t.equal(bodies.length, 4)
      t.equal(new Set(bodies).size, 1, 'every attempt is the same, ids included')
      t.same(
        (await client.readStream(stream).all()).map(({ id }) => id),
        answer.event_ids,
      )
    }
  },
)

t.test('an append to several streams is retried in the same way', async (t) => {
  const { client, bodies } = faulty((count) => (count === 1 ? 'after' : 'fine'))
  const request = {
    appends: [
      { stream_id: 'multi-a', expected_version: 0, events: [{ type: 'A' }] },
      { stream_id: 'multi-b', events: [{ type: 'B' }] },
    ],
  }
  t.match(await client.appendToStreams(request), { replayed: true, results: [{ version: 1 }, { version: 1 }] })
  t.equal(bodies[0], bodies[1])
  t.notOk('id' in (request.appends[0]?.events[0] ?? {}), "the caller's objects stay as they are")
  const { results } = await client.appendToStreams({ ...request, atomic: false })
  t.match(results, [{ status: 409, body: { code: 'version_conflict' } }, { status: 201 }])
  const error = await failureOf(
    client.appendToStreams({ ...request, checks: [{ stream_id: 'x', expected_version: 3 }] }),
  )
  t.match(error.problem, { failed: [{ kind: 'append' }, { kind: 'check', current_version: 0 }] })
})

t.test('of appends that stand alone only those that failed in passing are sent again, with the same ids', async (t) => {
  const appends = ['each-a', 'each-b', 'each-c'].map((stream_id) => ({ stream_id, events: [{ type: 'A' }] }))
  const request = { appends: appends.map((each, i) => ({ ...each, ...(i === 1 && { expected_version: 9 }) })) }
  const busy = async () => ({ status: 503, body: await problemAnswer('overloaded', 503).json() })
  const sent: { appends: { stream_id: string; events: { id: string }[] }[] }[] = []
  /** Twice the answer for the last append is not the one that the service gave. */
  const fetch: typeof globalThis.fetch = async (input, init) => {
    sent.push(JSON.parse(String(init?.body)))
    const response = await globalThis.fetch(input, init)
    if (sent.length > 2) return response
    const { results } = (await response.json()) as { results: object[] }
    return Response.json({ results: [...results.slice(0, -1), await busy()] })
  }
  const { results } = await createClient({ url, fetch, retry: quick }).appendToStreams({ ...request, atomic: false })
  t.match(results, [
    { status: 201, body: { stream_id: 'each-a', version: 1 } },
    { status: 409, body: { code: 'version_conflict' } },
    { status: 201, body: { stream_id: 'each-c', version: 1, replayed: true } },
  ])
  t.same(
    sent.map((body) => body.appends.map(({ stream_id }) => stream_id)),
    [['each-a', 'each-b', 'each-c'], ['each-c'], ['each-c']],
  )
  t.equal(new Set(sent.map((body) => body.appends.at(-1)?.events[0]?.id)).size, 1)

  let answers = 0
  const thenSilent: typeof globalThis.fetch = async () => {
    if (++answers === 1) return Response.json({ results: [results[0], results[1], await busy()] })
    throw new TypeError('fetch failed', { cause: { code: 'ECONNRESET' } })
  }
  const silent = createClient({ url, fetch: thenSilent, retry: { ...quick, attempts: 3 } })
  t.match((await silent.appendToStreams({ ...request, atomic: false })).results, [
    { status: 201 },
    { status: 409, body: { outcome: 'not_applied' } },
    { status: 503, body: { code: 'overloaded', outcome: 'unknown' } },
  ])
  t.equal(answers, 4, 'once, and then three times in vain')
  const always: typeof globalThis.fetch = async () => Response.json({ results: [await busy()] })
  const given = createClient({ url, fetch: always, retry: { ...quick, attempts: 3 } })
  t.match(await given.appendToStreams({ appends: appends.slice(0, 1), atomic: false }), { results: [{ status: 503 }] })
})

t.test('attempts are bounded, and the last error says that nothing is known when one answer was lost', async (t) => {
  const never = faulty(() => 'before', 3)
  t.match(await failureOf(never.client.append('s', [{ type: 'A' }])), {
    code: 'unreachable',
    status: 0,
    retryable: true,
    outcome: 'unknown',
    message: 'POST /streams/s/events: no answer (ECONNRESET).',
  })
  t.equal(never.bodies.length, 3)
  const lostThenBusy = faulty((count) => (count === 1 ? 'after' : problemAnswer('overloaded', 503)), 3)
  t.match(await failureOf(lostThenBusy.client.append('s', [{ type: 'A' }])), {
    code: 'overloaded',
    outcome: 'unknown',
    request_id: 'req-1',
    message: 'It is overloaded. An earlier attempt may have been stored.',
  })
  const lostThenConflict = faulty((count) => (count === 1 ? 'before' : 'fine'))
  t.match(await failureOf(lostThenConflict.client.append('s', [{ type: 'A' }], { expectedVersion: 9 })), {
    code: 'version_conflict',
    outcome: 'not_applied',
  })
  const unknown = faulty(() => problemAnswer('commit_outcome_unknown', 503, { outcome: 'unknown' }), 2)
  t.match(await failureOf(unknown.client.append('s', [{ type: 'A' }])), { outcome: 'unknown', retryable: true })
  t.equal(unknown.bodies.length, 2)
})

t.test('what can not succeed later is sent once', async (t) => {
  const { client, bodies } = faulty(() => 'fine')
  t.match(await failureOf(client.append('s', [{ type: '' }])), {
    code: 'validation_failed',
    problem: { errors: [{ pointer: '/events/0/type' }] },
  })
  t.equal(bodies.length, 1)
})

t.test('a stream id that would change the path never leaves the client', async (t) => {
  const { client, bodies } = faulty(() => 'fine')
  for (const id of ['', '.', '..', '\ud800']) {
    t.match(await failureOf(client.append(id, [{ type: 'A' }])), { code: 'stream_id_invalid', status: 400 }, id)
    t.match(await failureOf(client.readStream(id).all()), { code: 'stream_id_invalid' })
  }
  t.equal(bodies.length, 0)
})

t.test('the pause that the service asks for is kept', async (t) => {
  const { client } = faulty((count) => (count === 1 ? problemAnswer('busy', 503, {}, { 'retry-after': '1' }) : 'fine'))
  const startedAt = performance.now()
  await client.append('paused', [{ type: 'A' }])
  const ms = performance.now() - startedAt
  t.ok(ms >= 999 && ms < 20_000, `${ms.toFixed(0)} ms`)
  t.equal(readRetryAfter('2'), 2_000)
  t.equal(readRetryAfter(null), undefined)
  t.equal(readRetryAfter('soon'), undefined)
  const inTen = readRetryAfter(new Date(Date.now() + 10_000).toUTCString()) as number
  t.ok(inTen > 8_000 && inTen <= 10_000, `${inTen} ms`)
})

t.test('an abort ends a call at once, also between two attempts', async (t) => {
  const busy = createClient({
    url,
    fetch: async () => problemAnswer('busy', 503),
    retry: { minDelayMs: 60_000, maxDelayMs: 60_000 },
  })
  await t.rejects(busy.append('s', [{ type: 'A' }], { signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' })
  const silent = createClient({
    url,
    fetch: (_, init) =>
      new Promise((_, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason as Error))
      }),
    timeoutMs: 20,
    retry: { ...quick, attempts: 2 },
  })
  t.match(await failureOf(silent.append('s', [{ type: 'A' }])), {
    code: 'unreachable',
    outcome: 'unknown',
    message: /within 20 ms/,
  })
  await t.rejects(silent.append('s', [{ type: 'A' }], { signal: AbortSignal.abort() }), { name: 'AbortError' })
})

t.test('an answer that is not one of Annals is told apart', async (t) => {
  const page = (status: number) => new Response('<h1>hello</h1>', { status, headers: { 'content-type': 'text/html' } })
  const wrong = faulty(() => page(200))
  t.match(await failureOf(wrong.client.append('s', [{ type: 'A' }])), {
    code: 'unexpected_answer',
    status: 200,
    outcome: 'unknown',
  })
  t.equal(wrong.bodies.length, 1)
  const proxy = faulty((count) => (count < 3 ? page(502) : 'fine'))
  t.match(await proxy.client.append('proxied', [{ type: 'A' }]), { version: 1 })
  t.match(await failureOf(faulty(() => page(404)).client.head()), {
    status: 404,
    retryable: false,
    outcome: 'not_applied',
  })
  const closed = await startTestApp()
  await closed.close()
  const nobody = createClient({ url: closed.url, retry: { ...quick, attempts: 2 } })
  t.match(await failureOf(nobody.append('s', [{ type: 'A' }])), {
    code: 'unreachable',
    outcome: 'not_applied',
    message: /ECONNREFUSED/,
  })
})

t.test('a token is sent, also one that is asked for each time', async (t) => {
  const app = await startTestApp({ tokens: 'read+append:0123456789abcdef' })
  t.teardown(app.close)
  const tokens = ['0123456789abcdef', 'another-0123456789']
  const annals = createClient({ url: `${app.url}/`, token: async () => tokens.shift() as string })
  t.equal(await annals.head(), 0)
  t.match(await failureOf(annals.head()), { code: 'unauthenticated', status: 401 })
  t.equal(await createClient({ url: app.url, token: '0123456789abcdef' }).head(), 0)
})

t.test('readers go over all pages in both directions, know where they are, and go on from there', async (t) => {
  const annals = client()
  const start = await annals.head()
  const count = 25
  for (let i = 1; i <= count; i++) await annals.append('pages', [{ type: i % 2 === 0 ? 'Even' : 'Odd', data: i }])
  const feed = annals.readFeed({ after: start, pageSize: 4 })
  const seen: unknown[] = []
  for await (const event of feed) {
    seen.push(event.data)
    if (seen.length === 6) break
  }
  t.equal(feed.cursor, start + 6)
  for await (const event of feed) seen.push(event.data)
  t.same(
    seen,
    Array.from({ length: count }, (_, i) => i + 1),
  )
  t.equal(feed.cursor, start + count)
  t.same(await feed.all(), [], 'nothing new')
  await annals.append('pages', [{ type: 'Even', data: 26, metadata: { tenant: 'a' } }])
  t.match(await feed.all(), [{ data: 26 }])

  const numbers = async (reader: AsyncIterable<{ data?: unknown }>) => {
    const all: unknown[] = []
    for await (const { data } of reader) all.push(data)
    return all
  }
  const evens = Array.from({ length: 13 }, (_, i) => 2 * (i + 1))
  const filtered = annals.readFeed({ after: start, types: ['Even'], streamPrefix: 'page', pageSize: 4 })
  t.same(await numbers(filtered), evens)
  t.equal(filtered.cursor, start + 26)
  t.same(await numbers(annals.readFeed({ metadata: { tenant: 'a' } })), [26])
  const backward = annals.readFeed({ direction: 'backward', pageSize: 7, streamPrefix: 'pages' })
  t.same(
    await numbers(backward),
    Array.from({ length: 26 }, (_, i) => 26 - i),
  )
  t.same(await backward.all(), [])

  t.same(await numbers(annals.readStream('pages', { pageSize: 5, fromVersion: 20 })), [20, 21, 22, 23, 24, 25, 26])
  t.same(await numbers(annals.readStream('pages', { types: ['Even'], pageSize: 5 })), evens)
  const down = annals.readStream('pages', { direction: 'backward', fromVersion: 3, pageSize: 2 })
  t.equal(down.cursor, 4)
  t.same(await numbers(down), [3, 2, 1])
  t.same(await down.all(), [])
  t.match(await failureOf(annals.readStream('nowhere').all()), { code: 'stream_not_found', status: 404 })
})

t.test('reads are retried too', async (t) => {
  const { client } = faulty((count) => (count % 2 === 1 ? 'cut' : 'fine'))
  t.equal((await client.readStream('pages', { pageSize: 10 }).all()).length, 26)
})

t.test('single events, streams and what has just been written can be read', async (t) => {
  const annals = client()
  const { event_ids: ids, position } = await annals.append('single', [{ type: 'A', data_base64: 'AP8=' }])
  t.match(await annals.readEvent(ids[0] as string, { atLeast: position }), { position, data_base64: 'AP8=' })
  t.match(await annals.streamInfo('single'), { version: 1, snapshot: null, events_since_snapshot: 1 })
  t.match(await failureOf(annals.readEvent(newEventId())), { code: 'event_not_found' })
  for (let i = 0; i < 3; i++) await annals.append(`listed-${i}`, [{ type: 'A' }])
  const listed: string[] = []
  for await (const { stream_id } of annals.listStreams({ prefix: 'listed-', after: 'listed-0' })) listed.push(stream_id)
  t.same(listed, ['listed-1', 'listed-2'])
})

t.test('a state is its snapshot and all events after it, over several pages', async (t) => {
  const annals = client()
  const events = Array.from({ length: 700 }, (_, i) => ({ type: 'Added', data: i + 1 }))
  for (let i = 0; i < 3; i++) await annals.append('sums', events)
  const sumOf = async () => {
    const { snapshot, events, version } = await annals.readState('sums')
    let sum = (snapshot?.state as { sum: number } | undefined)?.sum ?? 0
    for await (const { data } of events) sum += data as number
    return { sum, version }
  }
  const whole = { sum: (3 * 700 * 701) / 2, version: 2100 }
  t.same(await sumOf(), whole)
  const sum = (2 * 700 * 701) / 2
  t.match(await annals.saveSnapshot('sums', { version: 1400, state: { sum } }), { version: 1400 })
  t.same(await sumOf(), whole)
  t.match(await annals.readSnapshot('sums'), { version: 1400, state: { sum } })
  t.match(await failureOf(annals.saveSnapshot('sums', { version: 1, state: 0 })), { code: 'snapshot_older' })
  await annals.deleteSnapshot('sums')
  t.match(await failureOf(annals.readSnapshot('sums')), { code: 'snapshot_not_found' })
})

t.test('the ids of the client are UUIDs of version 7 that carry the time', (t) => {
  const before = Date.now()
  const id = newEventId()
  t.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  const time = Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)
  t.ok(time >= before && time <= Date.now())
  t.equal(new Set(Array.from({ length: 1_000 }, newEventId)).size, 1_000)
  t.end()
})
