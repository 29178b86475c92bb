// Appends over HTTP, on the store in memory: what depends on PostgreSQL is in test/db and test/service.test.ts.

import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import { startTestApp } from '../support/app.ts'

let url: string
t.before(async () => {
  const app = await startTestApp()
  url = app.url
  t.teardown(app.close)
})

interface Answer {
  status: number
  headers: Headers
  // oxlint-disable-next-line typescript/no-explicit-any -- answers of many shapes are compared
  body: any
}

async function call(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const text = typeof body === 'string' || body instanceof Buffer ? body : JSON.stringify(body)
  const response = await fetch(url + path, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: text as string }),
  })
  const received = await response.text()
  return { status: response.status, headers: response.headers, body: received === '' ? null : JSON.parse(received) }
}

let streams = 0
const newStream = () => `append-${++streams}`
const append = (stream: string, body: unknown, headers?: Record<string, string>) =>
  call('POST', `/streams/${encodeURIComponent(stream)}/events`, body, headers)
const one = (extra: object = {}) => ({ events: [{ type: 'A', ...extra }] })

t.test('an append answers 201 with what it was given', async (t) => {
  const stream = 'file:lib/reply.js ü'
  const { status, headers, body } = await append(stream, { events: [{ type: 'A' }, { type: 'B' }] })
  t.equal(status, 201)
  t.match(body, { stream_id: stream, first_version: 1, version: 2, replayed: false })
  t.equal(body.position, body.first_position + 1)
  t.equal(body.event_ids.length, 2)
  t.equal(headers.get('etag'), '"2"')
  t.equal(headers.get('location'), '/streams/file%3Alib%2Freply.js%20%C3%BC/events?from_version=1')
  t.equal(headers.get('idempotent-replayed'), null)
  const followed = await call('GET', headers.get('location') as string)
  t.equal(followed.body.events.length, 2)
})

t.test('expected versions by body conflict with 409, by header with 412', async (t) => {
  const stream = newStream()
  await append(stream, one())
  const byBody = await append(stream, { ...one(), expected_version: 5 })
  t.equal(byBody.status, 409)
  t.match(byBody.body, {
    code: 'version_conflict',
    stream_id: stream,
    expected_version: 5,
    current_version: 1,
    outcome: 'not_applied',
    retryable: false,
  })
  const cases: [Record<string, string>, number][] = [
    [{ 'if-match': '"5"' }, 412],
    [{ 'if-none-match': '*' }, 412],
    [{ 'if-match': '"1"' }, 201],
    [{ 'if-match': '*' }, 201],
  ]
  for (const [headers, status] of cases) {
    t.equal((await append(stream, one(), headers)).status, status, JSON.stringify(headers))
  }
  const missing = await append(newStream(), one(), { 'if-match': '*' })
  t.match(missing, { status: 412, body: { expected_version: 'exists', current_version: 0 } })
  t.equal((await append(newStream(), one(), { 'if-none-match': '*' })).status, 201)
  t.equal((await append(stream, { ...one(), expected_version: 3 }, { 'if-match': '"3"' })).status, 201)
})

t.test('preconditions that are no versions, and contradictions, are refused', async (t) => {
  const stream = newStream()
  const cases: [unknown, Record<string, string>, string][] = [
    [one(), { 'if-match': '4' }, 'header/if-match'],
    [one(), { 'if-match': 'W/"4"' }, 'header/if-match'],
    [one(), { 'if-match': '"abc"' }, 'header/if-match'],
    [one(), { 'if-match': '"04"' }, 'header/if-match'],
    [one(), { 'if-match': '"1", "2"' }, 'header/if-match'],
    [one(), { 'if-match': '"9007199254740993"' }, 'header/if-match'],
    [one(), { 'if-none-match': '"1"' }, 'header/if-none-match'],
    [one(), { 'if-match': '*', 'if-none-match': '*' }, 'header/if-none-match'],
    [{ ...one(), expected_version: 1 }, { 'if-match': '"2"' }, '/expected_version'],
    [{ ...one(), expected_version: 9_007_199_254_740_992 }, {}, '/expected_version'],
    [{ ...one(), expected_version: '1' }, {}, '/expected_version'],
    [{ ...one(), expected_version: -1 }, {}, '/expected_version'],
    [{ ...one(), expected_version: 1.5 }, {}, '/expected_version'],
    [{ ...one(), expected_version: null }, {}, '/expected_version'],
  ]
  for (const [body, headers, pointer] of cases) {
    const answer = await append(stream, body, headers)
    t.match(
      answer,
      { status: 400, body: { code: 'validation_failed', errors: [{ pointer }] } },
      JSON.stringify([body, headers]),
    )
  }
  t.equal((await call('GET', `/streams/${stream}`)).status, 404, 'nothing was stored')
})

t.test('a conflict with resync=true brings the events that came after', async (t) => {
  const stream = newStream()
  await append(stream, { events: Array.from({ length: 150 }, (_, i) => ({ type: 'A', data: i })) })
  const { body } = await call('POST', `/streams/${stream}/events?resync=true`, { ...one(), expected_version: 20 })
  t.equal(body.current_version, 150)
  t.same([body.events.length, body.events[0].version, body.events.at(-1).version], [100, 21, 120])
  const precise = await append(newStream(), '{"events":[{"type":"A","data":9007199254740993}]}')
  const raw = await fetch(`${url}/streams/${precise.body.stream_id}/events?resync=true`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...one(), expected_version: 0 }),
  })
  t.match(await raw.text(), /"data":9007199254740993,/, 'numbers are not rounded on the way')
  t.notOk('events' in (await append(stream, { ...one(), expected_version: 20 })).body)
  t.equal((await call('POST', `/streams/${stream}/events?resync=yes`, one())).status, 400)
})

t.test('a retry is answered as the first time and says so', async (t) => {
  const stream = newStream()
  const body = { expected_version: 0, events: [{ id: randomUUID(), type: 'A', data: { x: 1, y: [2] } }] }
  const first = await append(stream, body)
  await append(stream, one())
  const again = await append(stream, body)
  t.equal(again.status, 201)
  t.equal(again.headers.get('idempotent-replayed'), 'true')
  t.same(again.body, { ...first.body, replayed: true })
  const reused = await append(stream, { events: [{ ...body.events[0], data: 2 }] })
  t.match(reused, { status: 422, body: { code: 'event_id_reused', event_ids: [body.events[0]?.id] } })
})

t.test('several streams: all or nothing, with every failed condition named', async (t) => {
  const [a, b] = [newStream(), newStream()]
  const body = {
    appends: [
      { stream_id: a, expected_version: 0, events: [{ id: randomUUID(), type: 'A' }] },
      {
        stream_id: b,
        events: [
          { id: randomUUID(), type: 'B' },
          { id: randomUUID(), type: 'B' },
        ],
      },
    ],
    checks: [{ stream_id: newStream(), expected_version: 0 }],
  }
  const first = await call('POST', '/events', body)
  t.equal(first.status, 201)
  t.same(
    [first.body.replayed, first.body.results.length, first.body.position],
    [false, 2, first.body.results[1].position],
  )
  const again = await call('POST', '/events', body)
  t.match(again, { status: 201, body: { replayed: true, position: first.body.position } })
  t.equal(again.headers.get('idempotent-replayed'), 'true')
  const conflict = await call('POST', '/events', {
    appends: [{ stream_id: a, expected_version: 0, events: [{ type: 'A' }] }],
    checks: [{ stream_id: b, expected_version: 1 }],
  })
  t.match(conflict, { status: 409, body: { code: 'version_conflict' } })
  t.same(conflict.body.failed, [
    { index: 0, kind: 'append', stream_id: a, expected_version: 0, current_version: 1 },
    { index: 0, kind: 'check', stream_id: b, expected_version: 1, current_version: 2 },
  ])
})

t.test('several streams, each for itself: answers stand in order, bad ones in their place', async (t) => {
  const [a, b] = [newStream(), newStream()]
  await append(a, one())
  const { status, body } = await call(
    'POST',
    '/events',
    `{"atomic":false,"appends":[
      {"stream_id":${JSON.stringify(a)},"expected_version":0,"events":[{"type":"A"}]},
      {"stream_id":${JSON.stringify(b)},"events":[{"type":"B"}]},
      {"stream_id":"..","events":[{"type":"B"}]},
      {"stream_id":"x1","events":[{"type":""}]},
      {"stream_id":"x2","events":[{"type":"B","data":1e400}]},
      {"stream_id":"x3"}]}`,
  )
  t.equal(status, 200)
  t.same(
    body.results.map((each: Answer & { body: { code?: string } }) => [each.status, each.body.code ?? 'stored']),
    [
      [409, 'version_conflict'],
      [201, 'stored'],
      [400, 'stream_id_invalid'],
      [400, 'validation_failed'],
      [422, 'unstorable_value'],
      [400, 'validation_failed'],
    ],
  )
  t.equal(body.results[0].body.status, 409)
  t.equal(body.results[0].body.current_version, 1)
  t.equal((await call('GET', '/streams/x2')).status, 404)
})

t.test('envelopes of several streams that can not be read are refused as a whole', async (t) => {
  const append = { stream_id: 's', events: [{ type: 'A' }] }
  const cases: [unknown, string][] = [
    [{}, '/appends'],
    [{ appends: [] }, '/appends'],
    [{ appends: [append, append] }, '/appends/1/stream_id'],
    [{ appends: [append], atomic: 'no' }, '/atomic'],
    [{ appends: [append], atomic: false, checks: [] }, '/checks'],
    [{ appends: [append], extra: 1 }, '/extra'],
    [{ checks: [{ stream_id: 's', expected_version: 0 }] }, '/appends'],
    [{ appends: [append], checks: [{ stream_id: 's' }] }, '/checks/0/expected_version'],
    [{ appends: Array.from({ length: 101 }, (_, i) => ({ ...append, stream_id: `s${i}` })) }, '/appends'],
    [
      {
        appends: ['p', 'q'].map((stream_id) => ({
          stream_id,
          events: Array.from({ length: 501 }, () => ({ type: 'A' })),
        })),
      },
      '/appends',
    ],
    [[], ''],
    [1, ''],
  ]
  for (const [body, pointer] of cases) {
    const answer = await call('POST', '/events', body)
    t.match(answer, { status: 400, body: { code: 'validation_failed' } }, JSON.stringify(body).slice(0, 80))
    t.equal(answer.body.errors[0].pointer, pointer)
  }
  const twice = randomUUID()
  const repeated = await call('POST', '/events', {
    appends: ['p', 'q'].map((stream_id) => ({ stream_id, events: [{ id: twice, type: 'A' }] })),
  })
  t.match(repeated.body, { status: 400, errors: [{ pointer: '/appends/1/events/0/id', rule: 'id_repeated' }] })
})

t.test('values that could not make the round trip are refused with their place', async (t) => {
  const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
  const cases: [string, number, string | null][] = [
    ['{"events":[{"type":"A","data":"\\u0000"}]}', 422, '/events/0/data'],
    ['{"events":[{"type":"A","metadata":{"a":["\\ud800"]}}]}', 422, '/events/0/metadata/a/0'],
    [`{"events":[{"type":"A","data":${deep(65)}}]}`, 422, null],
    [`{"events":[{"type":"A","data":${deep(64)}}]}`, 201, null],
    ['{"events":[{"type":"A","data":1e400}]}', 422, '/events/0/data'],
    ['{"events":[{"type":"A","data":9007199254740993}]}', 201, null],
    ['{"events":[{"type":"A","data":{"a":1,"a":2}}]}', 400, '/events/0/data/a'],
    ['{"events":[{"type":"A","data":{"__proto__":1,"constructor":2}}]}', 201, null],
    ['{"events":[{"type":"A","type":"B"}]}', 400, '/events/0/type'],
    ['{"events":[{"type":"A","__proto__":1}]}', 400, '/events/0/__proto__'],
    ['{"events":[{"type":"\\ud800"}]}', 400, '/events/0/type'],
    [`{"events":[{"type":"${'ü'.repeat(128)}"}]}`, 400, '/events/0/type'],
  ]
  for (const [body, status, pointer] of cases) {
    const answer = await append(newStream(), body)
    t.equal(answer.status, status, body.slice(0, 60))
    if (pointer !== null) t.equal(answer.body.errors[0].pointer, pointer)
  }
})

t.test('sizes and counts have limits', async (t) => {
  const stream = newStream()
  const text = (bytes: number) => `"${'x'.repeat(bytes - 2)}"`
  const MIB = 1024 * 1024
  const cases: [string, number, string | undefined][] = [
    [`{"events":[{"type":"A","data":${text(MIB)}}]}`, 201, undefined],
    [`{"events":[{"type":"A","data":${text(MIB + 1)}}]}`, 413, 'payload_too_large'],
    [`{"events":[{"type":"A","metadata":{"a":${text(65_536 - 6)}}}]}`, 201, undefined],
    [`{"events":[{"type":"A","metadata":{"a":${text(65_536 - 5)}}}]}`, 413, 'payload_too_large'],
    [`{"events":[${'{"type":"A"},'.repeat(999)}{"type":"A"}]}`, 201, undefined],
    [`{"events":[${'{"type":"A"},'.repeat(1000)}{"type":"A"}]}`, 400, 'validation_failed'],
    ['{"events":[]}', 400, 'validation_failed'],
    [`{"events":[{"type":"A"}]${' '.repeat(5 * MIB)}}`, 413, 'payload_too_large'],
    [`{"events":[{"type":"A","content_type":"application/json; a=${'b'.repeat(240)}"}]}`, 400, 'validation_failed'],
  ]
  for (const [body, status, code] of cases) {
    const answer = await append(stream, body)
    t.equal(answer.status, status, body.slice(0, 50))
    t.equal(answer.body.code, code)
  }
})

t.test('stream ids follow their rule, in the path as in a body', async (t) => {
  const valid = ['a', 'A/b', 'ä', '…', '~!@#$%^&*()', 'a'.repeat(255), '𝄞'.repeat(63), ' ', '%', '...']
  for (const stream of valid) {
    t.equal((await append(stream, one())).status, 201, stream.slice(0, 20))
    t.equal((await call('GET', `/streams/${encodeURIComponent(stream)}`)).body.stream_id, stream)
  }
  const invalid = ['%00', '%1F', '%7F', '%C2%85', 'a'.repeat(256), '%C3%BC'.repeat(128), '%FF', '%ED%A0%80', '%GG']
  for (const path of invalid) {
    const answer = await call('POST', `/streams/${path}/events`, one())
    t.match(answer, { status: 400, body: { code: 'stream_id_invalid' } }, path.slice(0, 20))
  }
  for (const stream of ['.', '..', '', 'a\u0000', '\ud800', 'a'.repeat(256)]) {
    const answer = await call('POST', '/events', { appends: [{ stream_id: stream, events: [{ type: 'A' }] }] })
    t.match(answer, { status: 400, body: { code: 'stream_id_invalid' } }, JSON.stringify(stream.slice(0, 20)))
  }
})

t.test('an import stores lines in order, passes over what is there, and names what fails', async (t) => {
  const [a, b] = [newStream(), newStream()]
  const lines = [
    {
      stream_id: a,
      id: randomUUID(),
      type: 'A',
      data: 1,
      version: 1,
      position: 900,
      created_at: '2020-01-01T00:00:00Z',
    },
    { stream_id: b, id: randomUUID(), type: 'B', data_base64: 'AA==', content_type: 'application/octet-stream' },
    { stream_id: a, id: randomUUID(), type: 'A', data: 2, version: 2, metadata: { x: 1 } },
  ]
  const ndjson = (items: object[]) => items.map((item) => `${JSON.stringify(item)}\n`).join('')
  const post = (body: string) => call('POST', '/import', body, { 'content-type': 'application/x-ndjson' })
  t.same((await post(ndjson(lines))).body, { stored: 3, already_stored: 0, failed: 0, failures: [] })
  t.same((await post(`\n${ndjson(lines)}\r\n`)).body, { stored: 0, already_stored: 3, failed: 0, failures: [] })
  const mixed = await post(
    ndjson([
      { ...lines[0], data: 5 },
      { stream_id: a, type: 'A', version: 9 },
      { stream_id: a, type: 'A' },
    ]),
  )
  t.same([mixed.body.stored, mixed.body.failed], [1, 2])
  t.match(mixed.body.failures, [
    { line: 1, code: 'event_id_reused' },
    { line: 2, code: 'version_conflict' },
  ])
  const refused: [string, string, unknown][] = [
    ['{"stream_id":"x"}\n', 'validation_failed', [{ pointer: '/0/type', rule: 'required' }]],
    ['{"stream_id":"x","type":"A"}\nnot json\n', 'malformed_request', undefined],
    ['{"stream_id":"..","type":"A"}', 'stream_id_invalid', [{ pointer: '/0/stream_id', rule: 'stream_id' }]],
  ]
  for (const [body, code, errors] of refused) {
    const answer = await post(body)
    t.match(answer, { status: 400, body: { code } })
    t.same(answer.body.errors, errors)
  }
  t.equal((await call('GET', '/streams/x')).status, 404)
  t.equal((await call('POST', '/import', {})).status, 415)
})

t.test('an import is read while it arrives, wherever it is cut', async (t) => {
  const stream = newStream()
  const body = Buffer.from(
    `{"stream_id":"${stream}","type":"A","data":"ü€😀"}\r\n\n{"stream_id":"${stream}","type":"B"}\n{"stream_id":"${stream}","type":"C"}`,
  )
  const send = (parts: AsyncIterable<Buffer> | Iterable<Buffer>) =>
    fetch(`${url}/import`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: Readable.toWeb(Readable.from(parts)) as ReadableStream,
      duplex: 'half',
    } as RequestInit)
  const bytes = Array.from(body, (byte) => Buffer.from([byte]))
  t.match(await (await send(bytes)).json(), { stored: 3, failed: 0 })
  const { body: page } = await call('GET', `/streams/${stream}/events`)
  t.same(
    page.events.map(({ type }: { type: string }) => type),
    ['A', 'B', 'C'],
  )
  t.equal(page.events[0].data, 'ü€😀')

  const bad = Buffer.from('{"stream_id":"x"}\n{"stream_id":"x","type":"A"\nnonsense\n')
  const refused = await send([bad.subarray(0, 30), bad.subarray(30)])
  t.match(await refused.json(), { code: 'malformed_request', detail: /^Line 2: / })
  const large = Array.from({ length: 20 }, () => Buffer.alloc(1024 * 1024, '\n'))
  t.match(await (await send(large)).json(), { code: 'payload_too_large', limit_bytes: Number })
  t.equal((await call('GET', '/streams/x')).status, 404)

  const cut = newStream()
  await t.rejects(
    send(
      (async function* () {
        yield Buffer.from(`{"stream_id":"${cut}","type":"A"}\n`)
        throw new Error('the client goes away')
      })(),
    ),
  )
  t.equal((await call('GET', `/streams/${cut}`)).status, 404, 'nothing of a request that ended early is stored')
})
