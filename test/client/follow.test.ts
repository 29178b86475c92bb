// Following with the client, over connections that break, fall silent, or say goodbye.

import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { AnnalsError, createClient, type StoredEvent } from '../../src/client/client.ts'
import { startTestApp } from '../support/app.ts'
import { problemAnswer } from '../support/faulty-fetch.ts'

type Fetch = typeof globalThis.fetch

let url: string
t.before(async () => {
  const app = await startTestApp()
  url = app.url
  t.teardown(app.close)
})

const retry = { minDelayMs: 1, maxDelayMs: 5 }
const numbers = (length: number, from = 1) => Array.from({ length }, (_, i) => from + i)

/** The body of an answer, handed on until `bytes` of it have passed; then it breaks, or just ends. */
function cut(response: Response, bytes: number, how: 'break' | 'end'): Response {
  let left = bytes
  const body = response.body?.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        if (left > 0) controller.enqueue(chunk.slice(0, left))
        left -= chunk.length
        if (left > 0) return
        if (how === 'break') controller.error(new TypeError('terminated'))
        else controller.terminate()
      },
    }),
  )
  return new Response(body ?? null, response)
}

/** Answers that go on, made of these frames; then silence until the client leaves. */
const frames = (...texts: string[]) => {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const text of texts) controller.enqueue(new TextEncoder().encode(text))
    },
  })
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

const frameOf = (position: number) =>
  `id: ${position}\nevent: event\ndata: ${JSON.stringify({ position, version: position, stream_id: 's' })}\n\n`

/** A client whose connections answer in turn; the last answer repeats. */
function scripted(...answers: (() => Response | Promise<Response>)[]) {
  const cursors: (string | null)[] = []
  const fetch: Fetch = async (_, init) => {
    cursors.push(new Headers(init?.headers).get('last-event-id'))
    init?.signal?.throwIfAborted()
    const answer = await (answers[cursors.length - 1] ?? answers.at(-1) ?? Response.error)()
    // As fetch does: an abort breaks the body.
    const { signal } = init as { signal: AbortSignal }
    return new Response(answer.body?.pipeThrough(new TransformStream(), { signal }) ?? null, answer)
  }
  return { client: createClient({ url, fetch, retry }), cursors }
}

/** The first `count` events, and what ended it otherwise. */
async function take(
  events: AsyncIterable<StoredEvent>,
  count: number,
  used: StoredEvent[] = [],
): Promise<StoredEvent[]> {
  if (count > 0) for await (const event of events) if (used.push(event) === count) break
  return used
}

async function failureOf(events: AsyncIterable<StoredEvent>): Promise<AnnalsError> {
  try {
    for await (const _ of events);
  } catch (error) {
    if (error instanceof AnnalsError) return error
    throw error
  }
  throw new Error('it did not fail')
}

t.test('a thousand connections that break anywhere lose no event and repeat none', async (t) => {
  const writer = createClient({ url })
  const data = { text: 'é\n\ndata: x\n\nid: 99\n'.repeat(3) }
  let random = 42
  const next = (below: number) => {
    random = (random * 1_103_515_245 + 12_345) % 2_147_483_648
    return random % below
  }
  let connections = 0
  const fetch: Fetch = async (input, init) => {
    connections++
    const response = await globalThis.fetch(input, init)
    return cut(response, 1 + next(700), next(2) === 0 ? 'break' : 'end')
  }
  const annals = createClient({ url, fetch, retry })
  const start = await writer.head()
  const total = 300
  const stream = 'often-broken'
  const writing = (async () => {
    for (let n = 0; n < total; n += 20) {
      await writer.append(
        stream,
        numbers(20, n).map((n) => ({ type: n % 3 === 0 ? 'Third' : 'Other', data: { n, ...data } })),
      )
      await sleep(2)
    }
  })()
  const thirds: number[] = []
  const followThirds = async () => {
    const checkpoints: number[] = []
    const onCheckpoint = (cursor: number) => void checkpoints.push(cursor)
    for await (const { data } of annals.follow({ after: start, types: ['Third'], onCheckpoint })) {
      if (thirds.push((data as { n: number }).n) === total / 3) return checkpoints
    }
    return []
  }
  const [all, versions, checkpoints] = await Promise.all([
    take(annals.follow({ after: start, streamPrefix: 'often' }), total),
    take(annals.follow({ stream }), total),
    followThirds(),
    writing,
  ])
  t.same(
    all.map(({ position }) => position),
    numbers(total, start + 1),
  )
  t.same(
    versions.map(({ version }) => version),
    numbers(total),
  )
  t.same(
    thirds,
    numbers(total / 3).map((n) => 3 * (n - 1)),
  )
  t.same(
    checkpoints,
    checkpoints.toSorted((a, b) => a - b),
  )
  t.ok(connections > 1_000, `${connections} connections`)
})

t.test('an event is whole wherever its bytes are divided', async (t) => {
  const annals = createClient({ url })
  const start = await annals.head()
  await annals.append('divided', [{ type: 'Ünïcödé', data: '😀\r\n\u2028data: x' }, { type: 'B' }])
  const fetch: Fetch = async (input, init) => {
    const response = await globalThis.fetch(input, init)
    const single = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        for (const byte of chunk) controller.enqueue(Uint8Array.of(byte))
      },
    })
    return new Response(response.body?.pipeThrough(single) ?? null, response)
  }
  const events = await take(createClient({ url, fetch }).follow({ after: start }), 2)
  t.match(events, [{ type: 'Ünïcödé', data: '😀\r\n\u2028data: x' }, { type: 'B' }])
})

t.test('a connection that falls silent is given up after two and a half heartbeats', async (t) => {
  const silent = () => frames(frameOf(1), frameOf(2))
  const { client, cursors } = scripted(silent, silent, () => frames(frameOf(2), frameOf(3)))
  const reasons: string[] = []
  const startedAt = performance.now()
  const events = await take(client.follow({ heartbeatMs: 40, onDisconnect: ({ message }) => reasons.push(message) }), 3)
  const ms = performance.now() - startedAt
  t.same(
    events.map(({ position }) => position),
    [1, 2, 3],
  )
  t.same(cursors, ['0', '2', '2'])
  t.ok(ms >= 200 && ms < 20_000, `${ms.toFixed(0)} ms`)
  t.match(
    reasons,
    ['nothing came for 100 ms', 'nothing came for 100 ms'].map((text) => new RegExp(text)),
  )
})

t.test('heartbeats keep a quiet connection, and a slow reader does not make it a dead one', async (t) => {
  let connects = 0
  const annals = createClient({ url })
  const start = await annals.head()
  await annals.append(
    'slow',
    numbers(3).map((data) => ({ type: 'A', data })),
  )
  const stop = new AbortController()
  const seen: unknown[] = []
  // The service of these tests sends a heartbeat every 200 ms; one that sent none would be given up after a second.
  const following = (async () => {
    for await (const { data } of annals.follow({
      after: start,
      heartbeatMs: 400,
      signal: stop.signal,
      onConnect: () => connects++,
    })) {
      seen.push(data)
      if (seen.length < 3) await sleep(1_200)
    }
  })()
  await sleep(4_000)
  await annals.append('slow', [{ type: 'A', data: 4 }])
  while (seen.length < 4) await sleep(5)
  stop.abort()
  await following
  t.same(seen, numbers(4))
  t.equal(connects, 1)
})

t.test(
  'the signal ends the iteration without an error: while it waits, between events, before it begins',
  async (t) => {
    const annals = createClient({ url })
    t.same(await take(annals.follow({ signal: AbortSignal.abort() }), 1), [])
    t.same(await take(annals.follow({ after: 'head', signal: AbortSignal.abort() }), 1), [])
    t.same(await take(annals.follow({ after: 'head', signal: AbortSignal.timeout(50) }), 1), [])
    const leave = new AbortController()
    const leaving = createClient({
      url,
      fetch: (input, init) => {
        const asking = globalThis.fetch(input, init)
        leave.abort()
        return asking
      },
    })
    t.same(await take(leaving.follow({ after: 'head', signal: leave.signal }), 1), [], 'while it asks for the head')
    const stop = new AbortController()
    const seen: StoredEvent[] = []
    for await (const event of annals.follow({ signal: stop.signal })) {
      seen.push(event)
      stop.abort()
    }
    t.equal(seen.length, 1)
    const nobody = scripted(() => problemAnswer('shutting_down', 503))
    const pausing = createClient({ url, fetch: async () => problemAnswer('busy', 503), retry: { minDelayMs: 60_000 } })
    t.same(await take(pausing.follow({ signal: AbortSignal.timeout(30) }), 1), [])
    t.equal((await failureOf(nobody.client.follow({ attempts: 3 }))).code, 'shutting_down')
    t.equal(nobody.cursors.length, 3)
  },
)

t.test('only what is new comes after the head, of the feed and of a stream that is not there yet', async (t) => {
  const annals = createClient({ url })
  const connected: number[] = []
  const after = { after: 'head', onConnect: (cursor: number) => void connected.push(cursor) } as const
  const feed = take(annals.follow(after), 1)
  const stream = take(annals.follow({ ...after, stream: 'not-yet' }), 1)
  while (connected.length < 2) await sleep(2)
  await annals.append('not-yet', [{ type: 'New' }])
  t.match(await Promise.all([feed, stream]), [[{ type: 'New', version: 1 }], [{ type: 'New', version: 1 }]])
  const again = take(annals.follow({ ...after, stream: 'not-yet' }), 1)
  while (connected.length < 3) await sleep(2)
  t.equal(connected[2], 1)
  await annals.append('not-yet', [{ type: 'Newer' }])
  t.match(await again, [{ type: 'Newer' }])
})

t.test('a filtered follower that resumes at its checkpoint looks at nothing twice', async (t) => {
  const annals = createClient({ url })
  const start = await annals.head()
  await annals.append(
    'filtered',
    numbers(5).map(() => ({ type: 'Passed over' })),
  )
  const checkpoint = await new Promise<number>((resolve) => {
    const stop = new AbortController()
    const onCheckpoint = (cursor: number) => {
      stop.abort()
      resolve(cursor)
    }
    void take(annals.follow({ after: start, types: ['None'], signal: stop.signal, onCheckpoint }), 1)
  })
  t.equal(checkpoint, start + 5)
})

t.test('what the caller throws in onCheckpoint reaches the caller', async (t) => {
  const mine = new AnnalsError('busy', 'mine', { status: 503, retryable: true, outcome: 'not_applied' })
  const { client, cursors } = scripted(() => frames('id: 7\nevent: checkpoint\ndata: {"position":7}\n\n'))
  const failure = await failureOf(client.follow({ onCheckpoint: () => Promise.reject(mine) }))
  t.equal(failure, mine)
  t.equal(cursors.length, 1)
})

t.test('after a goodbye it connects again where it was', async (t) => {
  const goodbye = (reason: string) => `event: goodbye\ndata: ${JSON.stringify({ reason, position: 1 })}\n\n`
  const ended = (text: string) => () => new Response(text, { headers: { 'content-type': 'text/event-stream' } })
  const { client, cursors } = scripted(
    ended(frameOf(1) + goodbye('overflow')),
    ended(goodbye('shutting_down')),
    () => problemAnswer('shutting_down', 503),
    () => frames(frameOf(2)),
  )
  const reasons: string[] = []
  const events = await take(client.follow({ onDisconnect: ({ message }) => reasons.push(message) }), 2)
  t.same(
    events.map(({ position }) => position),
    [1, 2],
  )
  t.same(cursors, ['0', '1', '1', '1'])
  t.match(reasons, [/overflow/, /shutting_down/, /It is shutting_down/])
})

t.test('a store that went back ends it, also when only the goodbye says so', async (t) => {
  const annals = createClient({ url })
  t.match(await failureOf(annals.follow({ after: 1_000_000 })), {
    code: 'cursor_ahead',
    status: 409,
    problem: { cursor: 1_000_000 },
  })
  const text = `event: goodbye\ndata: {"reason":"went_back","position":9}\n\n`
  const { client } = scripted(() => new Response(text, { headers: { 'content-type': 'text/event-stream' } }))
  t.match(await failureOf(client.follow({ after: 9 })), { code: 'cursor_ahead', retryable: false })
})

t.test('what trying again can not mend is thrown at once', async (t) => {
  const app = await startTestApp({ tokens: 'append:0123456789abcdef' })
  t.teardown(app.close)
  t.match(await failureOf(createClient({ url: app.url }).follow()), { code: 'unauthenticated' })
  t.match(await failureOf(createClient({ url: app.url, token: '0123456789abcdef' }).follow()), { code: 'forbidden' })
  const { client } = scripted(() => new Response('<h1>', { headers: { 'content-type': 'text/html' } }))
  t.match(await failureOf(client.follow()), { code: 'unexpected_answer', status: 200 })
  const broken = scripted(() => frames('id: 1\nevent: event\ndata: {nonsense\n\n'))
  t.match(await failureOf(broken.client.follow()), { code: 'unexpected_answer', retryable: false })
  const problem = { code: 'internal', status: 500, retryable: false, outcome: 'not_applied', detail: 'A bug.' }
  const failed = scripted(() => frames(`event: goodbye\ndata: ${JSON.stringify({ reason: 'failed', problem })}\n\n`))
  t.match(await failureOf(failed.client.follow({ heartbeatMs: 20 })), { code: 'internal', status: 500 })
})

t.test('leaving the loop closes the connection', async (t) => {
  const app = await startTestApp()
  t.teardown(app.close)
  const annals = createClient({ url: app.url })
  await annals.append('s', [{ type: 'A' }])
  for await (const _ of annals.follow()) {
    t.equal(app.lifecycle.streams, 1)
    break
  }
  while (app.lifecycle.streams > 0) await sleep(5)
})
