// Reads over HTTP, on the store in memory.

import t from 'tap'
import { startTestApp } from '../support/app.ts'

let url: string
t.before(async () => {
  const app = await startTestApp()
  url = app.url
  t.teardown(app.close)
  await append(
    STREAM,
    Array.from({ length: 10 }, (_, i) => ({
      type: i % 2 === 0 ? 'Even' : 'Odd',
      data: { n: i },
      metadata: { who: `w${i % 3}` },
    })),
  )
  await append('other', [{ type: 'Even' }])
})

// oxlint-disable-next-line typescript/no-explicit-any -- answers of many shapes are compared
type Body = any

async function get(path: string, headers: Record<string, string> = {}) {
  const response = await fetch(url + path, { headers })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json') === true && text !== ''
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: (isJson && !response.headers.get('content-type')?.includes('ndjson') ? JSON.parse(text) : null) as Body,
  }
}

async function append(stream: string, events: object[]): Promise<void> {
  const response = await fetch(`${url}/streams/${encodeURIComponent(stream)}/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ events }),
  })
  if (response.status !== 201) throw new Error(await response.text())
}

const STREAM = 'file:lib/reply.js'
const PATH = `/streams/${encodeURIComponent(STREAM)}/events`

const ndjson = { accept: 'application/x-ndjson' }
const versions = (body: Body) => body.events.map((event: Body) => event.version)
const lineVersions = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).version)

/** Follows `next` until it is null. */
async function pages(path: string): Promise<number[][]> {
  const found: number[][] = []
  for (let next: string | null = path; next !== null; ) {
    const { body } = await get(next)
    found.push(versions(body))
    next = body.next
  }
  return found
}

t.test('a stream is read in pages, in both directions, by following next', async (t) => {
  const { body, headers } = await get(`${PATH}?limit=4`)
  t.same([body.stream_id, body.version, versions(body)], [STREAM, 10, [1, 2, 3, 4]])
  t.equal(headers.get('etag'), '"10"')
  t.equal(headers.get('link'), `<${body.next}>; rel="next"`)
  t.same(await pages(`${PATH}?limit=4`), [
    [1, 2, 3, 4],
    [5, 6, 7, 8],
    [9, 10],
  ])
  t.same(await pages(`${PATH}?limit=5`), [
    [1, 2, 3, 4, 5],
    [6, 7, 8, 9, 10],
  ])
  t.same(await pages(`${PATH}?limit=4&direction=backward`), [
    [10, 9, 8, 7],
    [6, 5, 4, 3],
    [2, 1],
  ])
  t.same(await pages(`${PATH}?from_version=8`), [[8, 9, 10]])
  t.same(await pages(`${PATH}?from_version=2&direction=backward`), [[2, 1]])
  t.same(await pages(`${PATH}?type=Odd&limit=2`), [[2, 4], [6, 8], [10]])
  t.same((await pages(`${PATH}?type=Odd&type=Even&limit=1000`)).flat().length, 10)
  const beyond = await get(`${PATH}?from_version=11`)
  t.same([beyond.status, versions(beyond.body), beyond.body.next], [200, [], null])
})

t.test('prev leads to the page before, without what was on this one', async (t) => {
  const before = async (query: string) => {
    const link = /<([^>]*)>; rel="prev"/.exec((await get(`${PATH}?${query}`)).headers.get('link') ?? '')?.[1]
    return link === undefined ? null : versions((await get(link)).body)
  }
  t.same(await before('from_version=5&limit=2'), [3, 4])
  t.same(await before('from_version=3&limit=5'), [1, 2])
  t.same(await before('from_version=100&limit=2'), [9, 10])
  t.same(await before('from_version=2&limit=3&direction=backward'), [5, 4, 3])
  t.same(await before('from_version=9&limit=3&direction=backward'), [10])
  t.same(await before('from_version=10&limit=1&type=Odd'), [8])
  t.same(await before('from_version=9&limit=2&type=Odd'), [8, 6])
  t.same(await before('from_version=2&limit=2&type=Odd&direction=backward'), [4, 6])
  t.equal(await before('limit=2'), null)
  t.equal(await before('limit=2&direction=backward'), null)
})

t.test('an event leaves with all its members', async (t) => {
  const { body } = await get(`${PATH}?limit=1`)
  const [event] = body.events
  t.match(event, {
    stream_id: STREAM,
    version: 1,
    type: 'Even',
    data: { n: 0 },
    content_type: 'application/json',
    metadata: { who: 'w0' },
    created_at: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/,
  })
  t.same((await get(`/events/${event.id}`)).body, event)
  t.match(await get('/events/0190c6f2-0000-7000-8000-000000000000'), { status: 404, body: { code: 'event_not_found' } })
  t.match(await get('/events/abc'), { status: 400, body: { errors: [{ pointer: 'path/event_id' }] } })
})

t.test('a reader that has the head is told so', async (t) => {
  for (const tag of ['"10"', 'W/"10"', '"1", "10"', '*']) {
    const answer = await get(PATH, { 'if-none-match': tag })
    t.same([answer.status, answer.text, answer.headers.get('etag')], [304, '', '"10"'], tag)
  }
  t.equal((await get(PATH, { 'if-none-match': '"9"' })).status, 200)
})

t.test('what does not exist is not found, and bad queries are refused with their place', async (t) => {
  t.match(await get('/streams/none/events'), { status: 404, body: { code: 'stream_not_found' } })
  t.match(await get('/streams/none'), { status: 404, body: { code: 'stream_not_found' } })
  const refused: [string, string][] = [
    [`${PATH}?limit=0`, 'query/limit'],
    [`${PATH}?limit=1001`, 'query/limit'],
    [`${PATH}?limit=1e2`, 'query/limit'],
    [`${PATH}?limit=`, 'query/limit'],
    [`${PATH}?limit=1&limit=2`, 'query/limit'],
    [`${PATH}?from_version=0`, 'query/from_version'],
    [`${PATH}?from_version=-1`, 'query/from_version'],
    [`${PATH}?from_version=9007199254740993`, 'query/from_version'],
    [`${PATH}?direction=up`, 'query/direction'],
    [`${PATH}?page=2`, 'query/page'],
    ['/events?after=x', 'query/after'],
    ['/events?after=1&direction=backward', 'query/after'],
    ['/events?before=1', 'query/before'],
    ['/events?since=yesterday', 'query/since'],
    ['/events?since=2024-02-30T00:00:00Z', 'query/since'],
    ['/events?until=2024-01-01', 'query/until'],
    ['/events?metadata=x', 'query/metadata'],
    ['/streams?limit=x', 'query/limit'],
  ]
  for (const [path, pointer] of refused) {
    const answer = await get(path)
    t.match(answer, { status: 400, body: { code: 'validation_failed', errors: [{ pointer }] } }, path)
  }
})

t.test('the feed can be polled: next is always there forwards, and ends backwards', async (t) => {
  const first = await get('/events?limit=6')
  t.same([first.body.events.length, first.body.head, first.body.next], [6, 11, '/events?after=6&limit=6'])
  const second = await get(first.body.next)
  t.same(
    second.body.events.map((event: Body) => event.position),
    [7, 8, 9, 10, 11],
  )
  const third = await get(second.body.next)
  t.same([third.body.events, third.body.next], [[], '/events?after=11&limit=6'])
  const filtered = await get('/events?type=None')
  t.same([filtered.body.events, filtered.body.next], [[], '/events?after=11&type=None'], 'a filter never rescans')
  const back = await get('/events?direction=backward&limit=6')
  t.same(
    back.body.events.map((event: Body) => event.position),
    [11, 10, 9, 8, 7, 6],
  )
  const last = await get(back.body.next)
  t.same([last.body.events.at(-1).position, last.body.next], [1, null])
})

t.test('filters of the feed combine, and stay in next', async (t) => {
  const { body } = await get('/events?type=Even&type=Odd&stream_prefix=file&metadata.who=w1&limit=2')
  t.same(
    body.events.map((event: Body) => event.version),
    [2, 5],
  )
  const rest = await get(body.next)
  t.same(
    rest.body.events.map((event: Body) => event.version),
    [8],
  )
  t.match(body.next, /type=Even&type=Odd/)
  t.match(body.next, /metadata.who=w1/)
  t.equal((await get('/events?since=2001-01-01T00:00:00%2B02:00&until=2100-01-01T00:00:00Z')).body.events.length, 11)
  t.equal((await get('/events?until=2001-01-01t00:00:00.123456z')).body.events.length, 0)
})

t.test('lines have no page limit unless one is given', async (t) => {
  await append(
    'many',
    Array.from({ length: 1000 }, () => ({ type: 'M' })),
  )
  await append(
    'many',
    Array.from({ length: 700 }, () => ({ type: 'M' })),
  )
  const all = await get('/events', ndjson)
  t.equal(all.headers.get('content-type'), 'application/x-ndjson')
  const positions = all.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).position)
  t.same(
    positions,
    Array.from({ length: 1711 }, (_, i) => i + 1),
  )
  t.equal((await get('/events?direction=backward', ndjson)).text.trimEnd().split('\n').length, 1711)
  t.equal((await get('/events?limit=3', ndjson)).text.trimEnd().split('\n').length, 3)
  t.same(
    lineVersions((await get('/streams/many/events', ndjson)).text),
    Array.from({ length: 1700 }, (_, i) => i + 1),
  )
  t.same(lineVersions((await get('/streams/many/events?direction=backward&limit=2', ndjson)).text), [1700, 1699])
  t.same((await get('/events?type=None', ndjson)).text, '')
  t.equal((await get('/streams/none/events', ndjson)).status, 404)
  t.match(await get('/events', { accept: 'image/png' }), { status: 406, body: { code: 'not_acceptable' } })
  const head = await fetch(`${url}/events`, { method: 'HEAD', headers: ndjson })
  t.same([head.status, head.headers.get('content-type'), await head.text()], [200, 'application/x-ndjson', ''])
})

t.test('streams are listed page by page', async (t) => {
  for (const name of ['list-b', 'list-a', 'list-c']) await append(name, [{ type: 'L' }])
  const first = await get('/streams?prefix=list-&limit=2')
  t.same(
    first.body.streams.map((stream: Body) => stream.stream_id),
    ['list-a', 'list-b'],
  )
  t.match(first.body.streams[0], { version: 1, created_at: String, updated_at: String })
  const second = await get(first.body.next)
  t.same([second.body.streams.map((stream: Body) => stream.stream_id), second.body.next], [['list-c'], null])
  t.match(await get('/streams/list-a'), { status: 200, body: { stream_id: 'list-a', version: 1 } })
})
