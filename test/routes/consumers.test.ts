// Consumers over HTTP on PostgreSQL.

import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import type { Service } from '../../src/service.ts'
import { createTestDatabase } from '../support/postgres.ts'
import { ask, startTestService, until } from '../support/service.ts'

interface Event {
  position: number
  stream_id: string
  version: number
  type: string
}

let service: Service
let database: pg.Client
t.before(async () => {
  const { url } = await createTestDatabase(t)
  await runMigrations(url)
  service = await startTestService(t, { DATABASE_URL: url, LOG_LEVEL: 'silent', HEARTBEAT_SECONDS: '1' })
  await service.ready
  database = new pg.Client(url)
  database.on('error', () => {})
  await database.connect()
  t.teardown(() => database.end())
})

const call = (method: string, path: string, body?: object) =>
  ask(service.url + path, {
    method,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
const post = (path: string, body: object = {}) => call('POST', path, body)
const get = (path: string) => call('GET', path)

/** Appends to several streams in turn; answers the position of the last one. */
async function append(streams: string[], rounds: number, event: object = { type: 'Happened' }): Promise<number> {
  let position = 0
  for (let i = 0; i < rounds; i++) {
    const appends = streams.map((stream_id) => ({ stream_id, events: [event] }))
    const { status, body } = await post('/events', { appends })
    if (status !== 201) throw new Error(`append answered ${status}`)
    position = body['position'] as number
  }
  return position
}

const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)

const eventsOf = ({ body }: { body: Record<string, unknown> }) => body['events'] as Event[]
const positionsOf = (answer: { body: Record<string, unknown> }) => eventsOf(answer).map(({ position }) => position)

/** A consumer of one test: of streams with its name as prefix, from here on. */
async function make(name: string, settings: object = {}) {
  const answer = await call('PUT', `/consumers/${name}`, { filter: { stream_prefix: `${name}-` }, ...settings })
  if (answer.status !== 201) throw new Error(`PUT answered ${answer.status} ${JSON.stringify(answer.body)}`)
  return answer
}

t.test('a consumer is made, changed, listed and removed', async (t) => {
  const filter = { types: ['A'], stream_prefix: 'x-', since: '2020-01-01T00:00:00Z', metadata: { tenant: '7' } }
  const made = await call('PUT', '/consumers/mailer', { filter, partitions: 4 })
  t.equal(made.status, 201)
  t.equal(made.headers.get('location'), '/consumers/mailer')
  t.match(made.body, {
    name: 'mailer',
    filter,
    start: 0,
    partitions: 4,
    lease_seconds: 30,
    max_attempts: 5,
    paused: false,
    checkpoint: 0,
    in_flight: 0,
    parked: 0,
    members: [],
  })
  t.equal((await call('PUT', '/consumers/mailer', { filter, partitions: 4, start: 0 })).status, 200, 'the same again')
  const changed = await call('PUT', '/consumers/mailer', { lease_seconds: 5, max_attempts: 2 })
  t.equal(changed.status, 200)
  t.match(changed.body, { filter: {}, partitions: 4, lease_seconds: 5, max_attempts: 2 })
  const refused = await call('PUT', '/consumers/mailer', { partitions: 5 })
  t.match([refused.status, refused.body], [409, { code: 'consumer_differs', start: 0, partitions: 4 }])
  t.equal((await call('PUT', '/consumers/mailer', { start: 'head' })).status, 409)
  t.match((await get('/consumers')).body, { consumers: [{ name: 'mailer' }] })
  t.equal((await call('DELETE', '/consumers/mailer')).status, 204)
  t.match((await get('/consumers/mailer')).body, { code: 'consumer_not_found' })
  t.equal((await call('DELETE', '/consumers/mailer')).status, 404)
})

t.test('where nothing has to be said a body may be absent or empty, also under a content type', async (t) => {
  await make('silent')
  const send = async (method: string, path: string, body?: string) => {
    const headers = { 'content-type': 'application/json' }
    return (await fetch(service.url + path, { method, headers, ...(body !== undefined && { body }) })).status
  }
  for (const verb of ['pause', 'resume', 'parked/replay']) {
    const path = `/consumers/silent/${verb}`
    t.same(
      [await send('POST', path), await send('POST', path, ''), await send('POST', path, '{}')],
      [200, 200, 200],
      verb,
    )
    t.same([await send('POST', path, '{"x":1}'), await send('POST', path, '[')], [400, 400], verb)
  }
  t.equal(await send('POST', '/consumers/silent/ack'), 400, 'elsewhere one is needed')
  t.equal(await send('DELETE', '/consumers/silent'), 204)
})

t.test('what is not a consumer is refused with its place', async (t) => {
  const refusals: [object, string][] = [
    [{ partitions: 65 }, '/partitions'],
    [{ lease_seconds: 0 }, '/lease_seconds'],
    [{ max_attempts: '5' }, '/max_attempts'],
    [{ start: 'tail' }, '/start'],
    [{ start: -1 }, '/start'],
    [{ filter: { types: [] } }, '/filter/types'],
    [{ filter: { types: [''] } }, '/filter/types/0'],
    [{ filter: { since: 'yesterday' } }, '/filter/since'],
    [{ filter: { metadata: { a: 1 } } }, '/filter/metadata/a'],
    [{ filter: { metadata: ['a'] } }, '/filter/metadata'],
    [{ filter: { metadata: { a: '\u0000' } } }, '/filter/metadata/a'],
    [{ filter: { stream_prefix: 'a\u0000' } }, '/filter/stream_prefix'],
    [{ filter: { colour: 'red' } }, '/filter/colour'],
    [{ paused: true }, '/paused'],
  ]
  for (const [body, pointer] of refusals) {
    const answer = await call('PUT', '/consumers/wrong', body)
    t.match([answer.status, answer.body['errors']], [400, [{ pointer }]], JSON.stringify(body))
  }
  for (const name of ['a%20b', 'a%2Fb', 'x'.repeat(101), '%C3%A4']) {
    t.match((await get(`/consumers/${name}`)).body, { status: 400, errors: [{ pointer: 'path/name' }] }, name)
  }
  t.match((await call('PUT', '/consumers/early', { start: 1_000_000 })).body, { code: 'cursor_ahead' })
  t.match((await post('/consumers/none/claim', { member: 'm' })).body, { code: 'consumer_not_found' })
  t.match((await post('/consumers/none/ack', { position: 0 })).body, { code: 'consumer_not_found' })
  t.match((await call('POST', '/consumers/none/pause')).body, { code: 'consumer_not_found' })
  t.match((await post('/consumers/none/parked/replay')).body, { code: 'consumer_not_found' })
  t.match((await get('/consumers/none/parked')).body, { code: 'consumer_not_found' })
  t.match((await get('/consumers/none/events')).body, { code: 'consumer_not_found' })
  t.equal((await post('/consumers/none/ack', {})).status, 400)
  t.equal((await post('/consumers/none/nack', { token: 'x', action: 'retry' })).status, 400)
  const unknown = await post('/consumers/none/nack', {
    token: '0190c6f2-7c1e-4cc3-98c4-dc0c0c07398f',
    position: 1,
    action: 'throw',
  })
  t.match(unknown.body, {
    detail: '/action: must be retry or park.',
    errors: [{ pointer: '/action', rule: 'not_a_choice', choices: ['retry', 'park'] }],
  })
})

t.test('one reader reads and acknowledges positions', async (t) => {
  await make('simple', { start: 'head', partitions: 3 })
  const last = await append(numbered('simple', 2), 5)
  const first = await get('/consumers/simple/events?limit=4')
  t.equal(eventsOf(first).length, 4)
  t.equal(first.body['position'], positionsOf(first).at(-1))
  t.same(positionsOf(await get('/consumers/simple/events?limit=4')), positionsOf(first), 'the same until acknowledged')
  const acknowledged = await post('/consumers/simple/ack', { position: first.body['position'] as number })
  t.match([acknowledged.status, acknowledged.body['checkpoint']], [200, first.body['position']])
  const rest = await get('/consumers/simple/events')
  t.equal(eventsOf(rest).length, 6)
  t.equal(positionsOf(rest)[0], (first.body['position'] as number) + 1)
  t.match((await post('/consumers/simple/ack', { position: last + 1 })).body, { code: 'cursor_ahead' })
  t.equal((await post('/consumers/simple/ack', { position: last })).status, 200)
  t.match((await post('/consumers/simple/ack', { position: 1 })).body, { checkpoint: last }, 'never back')
  t.match((await get('/consumers/simple')).body, { checkpoint: last, lag_events: 0, lag_seconds: 0 })

  await append(['elsewhere'], 3)
  const empty = await get('/consumers/simple/events')
  t.match(empty.body, { events: [], checkpoint: last + 3, position: last + 3 })
  t.match((await get('/consumers/simple')).body, { checkpoint: last + 3 }, 'what does not pass moves it too')

  const waiting = get('/consumers/simple/events?wait=10')
  await sleep(100)
  await append(['simple-0'], 1)
  t.equal(eventsOf(await waiting).length, 1, 'a long poll hears of a new event')
  t.match(await get(`/consumers/simple/events?at_least=${last + 4}`), { status: 200, body: { events: [{}] } })
  t.match(await get(`/consumers/simple/events?at_least=${last + 5}&at_least_wait=0`), {
    status: 503,
    body: { code: 'not_yet_visible' },
  })
})

t.test('as Server-Sent Events it begins at the checkpoint', async (t) => {
  await make('live', { start: 'head' })
  const last = await append(['live-1'], 3)
  await post('/consumers/live/ack', { position: last - 1 })
  const stop = new AbortController()
  const answer = await fetch(`${service.url}/consumers/live/events`, {
    headers: { accept: 'text/event-stream' },
    signal: stop.signal,
  })
  let text = ''
  const reading = (async () => {
    for await (const chunk of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) text += chunk
  })().catch(() => {})
  await append(['live-1', 'elsewhere'], 1)
  await until(() => text.includes(`id: ${last + 1}\nevent: event`))
  t.notOk(text.includes(`id: ${last - 1}\n`))
  t.ok(text.includes(`id: ${last}\nevent: event`))
  await until(() => text.includes(`event: checkpoint\ndata: {"position":${last + 2}}`))
  stop.abort()
  await reading
  t.equal((await get('/consumers/live/events?wait=0')).status, 400)
  const limited = await ask(`${service.url}/consumers/live/events?limit=1`, {
    headers: { accept: 'text/event-stream' },
  })
  t.equal(limited.status, 400)
})

/** Works through a consumer until `isOver`; calls back with each event before it is acknowledged. */
async function work(
  name: string,
  member: string,
  isOver: () => boolean,
  limit: number,
  onEvent: (event: Event) => void,
) {
  while (!isOver()) {
    const lease = await post(`/consumers/${name}/claim`, { member, limit, wait: 1 })
    if (lease.status !== 200 || lease.body['token'] === null) {
      if (lease.status !== 200) await sleep(20)
      continue
    }
    for (const event of eventsOf(lease)) onEvent(event)
    await post(`/consumers/${name}/ack`, { token: lease.body['token'] as string })
  }
}

t.test(
  'three members share ten streams, one dies with events in flight, and every stream stays in order',
  async (t) => {
    await make('team', { start: 'head', partitions: 6, lease_seconds: 5 })
    const streams = numbered('team', 10)
    await append(streams, 20)
    // It claims and is never heard of again.
    const dead = await post('/consumers/team/claim', { member: 'dead', limit: 30 })
    t.ok(eventsOf(dead).length > 0)
    t.match((await get('/consumers/team')).body, { in_flight: eventsOf(dead).length, members: [{ member: 'dead' }] })
    const seen = new Map<string, number[]>()
    let count = 0
    const onEvent = ({ stream_id, version }: Event) => {
      seen.set(stream_id, [...(seen.get(stream_id) ?? []), version])
      count++
    }
    const startedAt = performance.now()
    const isOver = () => count >= 210 || performance.now() - startedAt > 60_000
    const working = Promise.all(['a', 'b', 'c'].map((member) => work('team', member, isOver, 7, onEvent)))
    await append(streams, 1)
    await working
    t.ok(performance.now() - startedAt < 25_000, 'taken over after the five seconds of the lease, not the usual thirty')
    for (const stream of streams) {
      t.same(
        seen.get(stream),
        Array.from({ length: 21 }, (_, i) => i + 1),
        stream,
      )
    }
    const lost = await post('/consumers/team/ack', { token: dead.body['token'] as string })
    t.match(lost.body, { code: 'lease_lost' })
    // It also passes over the last event for the partitions that it is not in, where nobody has come by since.
    t.equal((await post('/consumers/team/claim', { member: 'a' })).body['token'], null, 'nothing comes again')
    const after = (await get('/consumers/team')).body
    t.match(after, { checkpoint: after['head'], in_flight: 0, parked: 0, lag_events: 0 })
  },
)

t.test('the checkpoint stays below what is not acknowledged, and a part of a lease can be', async (t) => {
  await make('part', { start: 'head', partitions: 1 })
  const last = await append(['part-1', 'part-2'], 5)
  const lease = await post('/consumers/part/claim', { member: 'm', limit: 6 })
  const token = lease.body['token'] as string
  const positions = positionsOf(lease)
  t.equal(positions.length, 6)
  t.same(lease.body['attempts'], [1, 1, 1, 1, 1, 1])
  const progress = await post('/consumers/part/ack', { token, position: positions[2] as number })
  t.match(progress.body, { checkpoint: positions[2], acknowledged: 3, in_flight: 3 })
  t.type(progress.body['lease_until'], 'string')
  t.match((await post('/consumers/part/ack', { position: last })).body, { code: 'consumer_claimed' })
  const again = await post('/consumers/part/claim', { member: 'm' })
  t.same(positionsOf(again)[0], positions[3], 'claiming again gives back what was not done')
  t.same(again.body['attempts'], [2, 2, 2, 1, 1, 1, 1])
  t.match((await post('/consumers/part/ack', { token })).body, { code: 'lease_lost' })
  const done = await post('/consumers/part/ack', { token: again.body['token'] as string })
  t.match(done.body, { checkpoint: last, acknowledged: 7, in_flight: 0, lease_until: null })
  const repeated = await post('/consumers/part/ack', { token: again.body['token'] as string })
  t.match([repeated.status, repeated.body], [200, { acknowledged: 0 }], 'a repeated acknowledgement does no harm')
})

t.test('an event that fails comes again alone, is parked in the end, and holds up no other stream', async (t) => {
  await make('fail', { start: 'head', partitions: 2, max_attempts: 3 })
  await append(numbered('fail', 4), 3)
  const done: Event[] = []
  const bad = 'fail-2'
  const deadline = performance.now() + 60_000
  while (performance.now() < deadline) {
    const lease = await post('/consumers/fail/claim', { member: 'm', wait: 1 })
    if (lease.status !== 200 || lease.body['token'] === null) {
      if (done.length === 11) break
      continue
    }
    const token = lease.body['token'] as string
    const events = eventsOf(lease)
    const at = events.findIndex(({ stream_id, version }) => stream_id === bad && version === 1)
    if (at === -1) {
      done.push(...events)
      await post('/consumers/fail/ack', { token })
      continue
    }
    done.push(...events.slice(0, at))
    const position = (events[at] as Event).position
    await post('/consumers/fail/ack', { token, position: position - 1 })
    const attempts = (lease.body['attempts'] as number[])[at] as number
    if (attempts === 3) t.equal(events.length - at, 1 + events.slice(at + 1).filter((e) => e.stream_id !== bad).length)
    await post('/consumers/fail/nack', { token, action: 'retry', position, reason: 'no luck', delay_seconds: 0 })
  }
  t.equal(done.length, 11)
  const versions = done.filter(({ stream_id }) => stream_id === bad).map(({ version }) => version)
  t.same(versions, [2, 3], 'the stream goes on behind it')
  const { body } = await get('/consumers/fail/parked')
  t.match(body, {
    parked: [{ attempts: 3, reason: 'no luck', replaying: false, event: { stream_id: bad, version: 1 } }],
    next: null,
  })
  t.match((await get('/consumers/fail')).body, { parked: 1, in_flight: 0, lag_events: 0 })
})

t.test('one event is parked at once, and the rest of its lease goes on', async (t) => {
  await make('park', { start: 'head', partitions: 1 })
  const last = await append(['park-1', 'park-2'], 3)
  const lease = await post('/consumers/park/claim', { member: 'm' })
  const token = lease.body['token'] as string
  const positions = positionsOf(lease)
  const parked = await post('/consumers/park/nack', { token, action: 'park', position: positions[2] as number })
  t.match(parked.body, { parked: 1, in_flight: 5, acknowledged: 1, checkpoint: last - 6 })
  const again = await post('/consumers/park/claim', { member: 'm' })
  t.same(positionsOf(again), positions.toSpliced(2, 1), 'it does not come again')
  const done = await post('/consumers/park/ack', { token: again.body['token'] as string })
  t.match(done.body, { checkpoint: last, in_flight: 0 })
})

t.test('a lease that runs out too often parks the event that was alone in it, not its neighbours', async (t) => {
  await make('poison', { start: 'head', partitions: 1, max_attempts: 3 })
  await append(['poison-1'], 4)
  const attempts: number[][] = []
  for (let i = 0; i < 4; i++) {
    attempts.push((await post('/consumers/poison/claim', { member: 'm' })).body['attempts'] as number[])
  }
  t.same(attempts, [[1, 1, 1, 1], [2, 2, 2, 2], [3], [3]])
  t.match((await get('/consumers/poison/parked')).body, { parked: [{ attempts: 3, event: { version: 1 } }] })
})

t.test('parked events are handed out again, and a replay that breaks off loses none', async (t) => {
  await make('replay', { start: 'head', partitions: 4 })
  const last = await append(numbered('replay', 5), 4)
  const all: number[] = []
  for (let lease = await post('/consumers/replay/claim', { member: 'm' }); lease.body['token'] !== null; ) {
    all.push(...positionsOf(lease))
    const token = lease.body['token'] as string
    await post('/consumers/replay/nack', { token, action: 'park', reason: 'down' })
    lease = await post('/consumers/replay/claim', { member: 'm' })
  }
  t.equal(all.length, 20)
  t.match((await get('/consumers/replay')).body, { parked: 20, checkpoint: last })
  const page = await get('/consumers/replay/parked?limit=15')
  t.equal((page.body['parked'] as object[]).length, 15)
  t.equal(((await get(page.body['next'] as string)).body['parked'] as object[]).length, 5)

  // Every backend is killed again and again while it is marked and worked on; the last ones are left alone, so that it
  // comes to an end on a slow machine too.
  await call('PUT', '/consumers/replay', { filter: { stream_prefix: 'replay-' }, lease_seconds: 1 })
  let isOver = false
  const killer = (async () => {
    for (let round = 0; round < 100 && !isOver; round++) {
      await database.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and random() < 0.5`,
      )
      await sleep(60)
    }
  })()
  const replayed = new Map<string, number[]>()
  const acknowledged = new Set<number>()
  const deadline = performance.now() + 60_000
  while (performance.now() < deadline) {
    await post('/consumers/replay/parked/replay', { limit: 7 })
    const lease = await post('/consumers/replay/claim', { member: 'm', limit: 4 })
    if (lease.status !== 200) continue
    if (lease.body['token'] === null) {
      const { body } = await get('/consumers/replay')
      if (body['parked'] === 0) break
      continue
    }
    const acknowledge = () => post('/consumers/replay/ack', { token: lease.body['token'] as string })
    let done = await acknowledge()
    // Once it is done, saying so again does no harm.
    while (done.status === 503) done = await acknowledge()
    if (done.status !== 200) continue
    for (const { position, stream_id } of eventsOf(lease)) {
      acknowledged.add(position)
      replayed.set(stream_id, [...(replayed.get(stream_id) ?? []), position])
    }
  }
  isOver = true
  await killer
  t.same((await get('/consumers/replay')).body['parked'], 0)
  for (const positions of replayed.values())
    t.same(
      positions,
      [...new Set(positions)].sort((a, b) => a - b),
    )
  t.equal(acknowledged.size, 20)
  t.match((await get('/consumers/replay')).body, { checkpoint: last })
})

t.test('a paused consumer hands nothing out, and goes on where it was', async (t) => {
  await make('pause', { start: 'head' })
  await append(['pause-1'], 2)
  const lease = await post('/consumers/pause/claim', { member: 'm', limit: 1 })
  t.match((await call('POST', '/consumers/pause/pause')).body, { paused: true })
  t.match((await post('/consumers/pause/claim', { member: 'n' })).body, { code: 'consumer_paused', retryable: true })
  t.match((await get('/consumers/pause/events')).body, { code: 'consumer_paused' })
  t.equal((await post('/consumers/pause/ack', { token: lease.body['token'] as string })).status, 200)
  t.match((await call('POST', '/consumers/pause/resume')).body, { paused: false })
  t.equal(eventsOf(await post('/consumers/pause/claim', { member: 'n' })).length, 1)
})

t.test('reset goes back, or to the head, and takes leases away', async (t) => {
  const before = await append(['elsewhere'], 1)
  await make('reset', { start: 'head', partitions: 2 })
  const last = await append(['reset-1', 'reset-2'], 2)
  const lease = await post('/consumers/reset/claim', { member: 'm' })
  t.match((await post('/consumers/reset/reset', { position: last + 1 })).body, { code: 'cursor_ahead' })
  t.match((await post('/consumers/reset/reset', { position: 'head' })).body, { checkpoint: last, in_flight: 0 })
  t.match((await post('/consumers/reset/ack', { token: lease.body['token'] as string })).body, { code: 'lease_lost' })
  t.equal((await post('/consumers/reset/claim', { member: 'm' })).body['token'], null)
  t.match((await post('/consumers/reset/reset', { position: before })).body, { checkpoint: before })
  const again = await post('/consumers/reset/claim', { member: 'm' })
  t.same([eventsOf(again).length, again.body['attempts']], [4, [1, 1, 1, 1]])
})

t.test('a filter that lets little pass is worked through window by window', async (t) => {
  await make('rare', { start: 'head', partitions: 3 })
  const bulk = Array.from({ length: 1_000 }, () => ({ type: 'Noise' }))
  for (let i = 0; i < 21; i++) {
    t.equal((await post(`/streams/noise/events`, { events: bulk })).status, 201)
  }
  const at = await append(['rare-1'], 1)
  t.same(positionsOf(await post('/consumers/rare/claim', { member: 'm' })), [at])
  const { checkpoint } = (await get('/consumers/rare')).body
  t.ok((checkpoint as number) >= at - 10_000 && (checkpoint as number) < at, `${checkpoint} of ${at}`)
})

t.test('metrics show lag and what is parked', async () => {
  await until(async () => {
    const text = await (await fetch(`${service.url}/metrics`)).text()
    return ['lag_events', 'oldest_unacked_seconds', 'parked'].every((name) =>
      text.includes(`annals_consumer_${name}{consumer="fail"}`),
    )
  })
})

t.test('there can be a hundred consumers', async (t) => {
  const { consumers } = (await get('/consumers')).body as { consumers: object[] }
  for (let i = consumers.length; i < 100; i++) {
    const { status } = await call('PUT', `/consumers/many-${i}`, { partitions: 1 })
    if (status !== 201) t.fail(`PUT answered ${status}`)
  }
  t.match((await call('PUT', '/consumers/one-more', {})).body, { code: 'too_many_consumers' })
  t.equal(((await get('/consumers')).body['consumers'] as object[]).length, 100)
})
