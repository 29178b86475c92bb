// Connections whose requests are read without Node's HTTP server: what a client sees must be the same as with it, so most
// of this is said twice, to a service that has plain connections and to one that has not.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { IncomingMessage, ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { setImmediate as nextRound, setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { EventLog } from '../../src/db/event-log.ts'
import { InMemoryEventLog } from '../../src/db/in-memory/in-memory-event-log.ts'
import { keepDeadline } from '../../src/http/deadline.ts'
import { drain, listen } from '../../src/http/listen.ts'
import { PlainRequest } from '../../src/http/plain/plain-request.ts'
import { PlainResponse } from '../../src/http/plain/plain-response.ts'
import { buildTestApp, type TestAppOptions } from '../support/app.ts'
import { until } from '../support/service.ts'

const TOKEN = 'a-token-of-the-tests'
const ID = 'X-Request-Id: of-this-test\r\n'
const AUTH = `Authorization: Bearer ${TOKEN}\r\n${ID}`
const EVENT = '{"events":[{"type":"Happened","data":{"text":"\u00e9"}}]}'

const get = (target: string, headers = AUTH) => `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`
const post = (target: string, body = EVENT, headers = AUTH, type = 'application/json') =>
  `POST ${target} HTTP/1.1\r\nHost: localhost\r\n${headers}Content-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

interface Options extends TestAppOptions {
  keepAliveMs?: number
}

/** A service that counts the requests which came the short way. */
async function start(t: Test, hasPlainConnections: boolean, { keepAliveMs = 72_000, ...options }: Options = {}) {
  const built = await buildTestApp({ ...options, parts: { ...options.parts, hasPlainConnections } })
  const { server } = built.app
  server.keepAliveTimeout = keepAliveMs
  const seen = { plain: 0, all: 0 }
  server.prependListener('request', (request) => {
    seen.all++
    if (request instanceof PlainRequest) seen.plain++
  })
  const url = await listen(built.app, '127.0.0.1', 0)
  t.teardown(() => {
    server.closeAllConnections()
    return built.app.close()
  })
  const connections = () => promisify(server.getConnections.bind(server))()
  return { ...built, port: Number(new URL(url).port), seen, connections }
}

async function startBoth(t: Test, options: () => Options = () => ({})) {
  const [plain, node] = [await start(t, true, options()), await start(t, false, options())]
  return { plain, node, both: [plain, node] }
}

interface Client extends Socket {
  text(): string
  /** Waits for as many answers as this. */
  answers(count: number): Promise<void>
}

async function open(t: Test, port: number): Promise<Client> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk)).on('error', () => {})
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  const text = () => Buffer.concat(chunks).toString()
  const answers = async (count: number) => {
    while (text().split('HTTP/1.1 ').length <= count)
      await once(socket, 'data', { signal: AbortSignal.timeout(60_000) })
  }
  return Object.assign(socket, { text, answers })
}

/** A piece to send, a number of answers to wait for, or the end of what is sent; `closed` waits for the other side. */
type Step = string | number | typeof END | typeof CLOSED
const END = Symbol('end')
const CLOSED = Symbol('closed')

/** So that what was sent arrives by itself: the other side reads in between, however long this process stood still. */
async function arrives(): Promise<void> {
  await sleep(2)
  await nextRound()
}

/** What came back, without what differs each time. */
async function exchange(t: Test, port: number, steps: Step[]): Promise<string> {
  const client = await open(t, port)
  for (const step of steps) {
    if (step === END) client.end()
    else if (step === CLOSED) await until(() => client.closed)
    else if (typeof step === 'number') await client.answers(step)
    else {
      client.write(step)
      await arrives()
    }
  }
  client.destroy()
  return comparable(client.text())
}

// Ids that are made are longer now and then, and so is what they stand in.
const MADE_ID = /\b[\da-f]{12}-[\da-z]+\b/g
const comparable = (text: string): string =>
  text
    .split(/(?=HTTP\/1\.1 )/)
    .map((answer) =>
      answer.search(MADE_ID) === -1 ? answer : answer.replace(/content-length: \d+/, 'content-length: any'),
    )
    .join('')
    .replace(MADE_ID, 'an id')
    .replace(/^date: .*GMT/gim, (line) => `${line.slice(0, 5)} now`)
    .replace(/[\da-f]{8}-[\da-f-]{27}/g, 'a UUID')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'a time')

const byteByByte = (text: string): string[] =>
  Array.from(Buffer.from(text, 'latin1'), (byte) => String.fromCharCode(byte))

/** What is said, how many of it is plain, and the beginning of each answer. */
// biome-ignore format: one line says more
const CONVERSATIONS: [title: string, plain: number, statuses: number[], steps: Step[]][] = [
  ['an append', 1, [201], [post('/streams/a/events'), 1]],
  ['an append whose answer is not ASCII', 1, [201], [post('/streams/%C3%A9%F0%9F%98%80/events'), 1]],
  ['a stream whose answer is not ASCII', 1, [200], [get('/streams/%C3%A9%F0%9F%98%80'), 1]],
  ['appends to several streams', 1, [201], [post('/events', '{"appends":[{"stream_id":"b","events":[{"type":"A"}]}]}'), 1]],
  ['a page', 1, [200], [get('/streams/a/events?from_version=1&limit=10&direction=forward&type=Happened'), 1]],
  ['a page backward', 1, [200], [get('/streams/a/events?direction=backward', `${AUTH}Accept: */*\r\n`), 1]],
  ['a stream', 1, [200], [get('/streams/a', `${AUTH}Accept: application/json\r\n`), 1]],
  ['an event that is not there', 1, [404], [get('/events/00000000-0000-4000-8000-000000000000'), 1]],
  ['a page that is known', 1, [304], [get('/streams/a/events', `${AUTH}If-None-Match: "1"\r\n`), 1]],
  ['a conflict', 1, [409], [post('/streams/a/events', `{"expected_version":7,${EVENT.slice(1)}`), 1]],
  ['a condition that fails', 1, [412], [post('/streams/a/events', EVENT, `${AUTH}If-Match: "7"\r\n`), 1]],
  ['a stream that is not there', 1, [404], [get('/streams/nothing/events'), 1]],
  ['a stream id that is none', 1, [400], [get('/streams/%zz/events'), 1]],
  ['a parameter that is none', 1, [400], [get('/streams/a/events?limit=x'), 1]],
  ['a body that is wrong', 1, [400], [post('/streams/a/events', '{"events":[{}]}'), 1]],
  ['a body that is no JSON', 1, [400], [post('/streams/a/events', '{'), 1]],
  ['an empty body', 1, [400], [post('/streams/a/events', ''), 1]],
  ['a body of another type', 1, [415], [post('/streams/a/events', EVENT, AUTH, 'text/plain'), 1]],
  ['a body that is too large', 1, [413], [post('/streams/a/events', ' '.repeat(10_001)), 1]],
  ['nobody', 1, [401], [get('/streams/a', ID), 1]],
  ['a stranger', 1, [401], [post('/streams/a/events', EVENT, `Authorization: Bearer x\r\n${ID}`), 1]],
  ['another host', 1, [200], [get('/streams/a').replace('localhost', 'evil.example'), 1]],
  ['a host that is none', 1, [400], [get('/streams/a').replace('localhost', 'a b'), 1, CLOSED]],
  ['bad and good ones after each other', 4, [201, 400, 404, 200], [
    ...[post('/streams/c/events'), 1, post('/streams/c/events', '{'), 2],
    ...[get('/streams/d'), 3, get('/streams/c'), 4],
  ]],
  ['a body in another packet', 1, [201], [...post('/streams/e/events').split(/(?<=\r\n\r\n)/), 1]],
  ['a head in two packets', 0, [201], [...post('/streams/f/events').split(/(?<=POST)/), 1]],
  ['a body byte by byte', 1, [201], [
    post('/streams/g/events', '').replace('h: 0', 'h: 32'), ...byteByByte('{"events":[{"type":"Happened"}]}'), 1,
  ]],
  ['a request byte by byte', 0, [200], [...byteByByte(get('/streams/a')), 1]],
  ['two in one packet', 0, [201, 200], [`${post('/streams/h/events')}${get('/streams/h')}`, 2]],
  ['the second half of the first with all of the second', 0, [201, 200], [
    post('/streams/i/events').slice(0, -5), `${post('/streams/i/events').slice(-5)}${get('/streams/i')}`, 2,
  ]],
  ['other requests in between', 1, [201, 200, 200], [post('/streams/j/events'), 1, get('/health/live'), 2, get('/streams/j'), 3]],
  ['lines in between', 1, [201, 200, 200], [
    post('/streams/k/events'), 1, get('/streams/k/events', `${AUTH}Accept: application/x-ndjson\r\n`), 2, get('/streams/k'), 3,
  ]],
  ['HEAD', 1, [200, 200, 200], [get('/streams/a'), 1, get('/streams/a').replace('GET', 'HEAD'), 2, get('/streams/a'), 3]],
  ['OPTIONS', 1, [200, 204, 200], [get('/streams/a'), 1, get('/streams/a').replace('GET', 'OPTIONS'), 2, get('/streams/a'), 3]],
  ['a body in chunks', 1, [200, 201, 200], [
    get('/streams/a'), 1,
    post('/streams/l/events', '').replace('Content-Length: 0', 'Transfer-Encoding: chunked'),
    `${Buffer.byteLength(EVENT).toString(16)}\r\n${EVENT}\r\n0\r\n\r\n`, 2, get('/streams/l'), 3,
  ]],
  ['Connection: close', 1, [200, 200], [get('/streams/a'), 1, get('/streams/a', `${AUTH}Connection: close\r\n`), CLOSED]],
  ['HTTP/1.0', 1, [200, 200], [get('/streams/a'), 1, get('/streams/a').replace('/1.1', '/1.0'), CLOSED]],
  ['garbage after a request', 1, [200, 400], [get('/streams/a'), 1, 'garbage\r\n\r\n', CLOSED]],
  ['an empty line after a body', 0, [201, 200], [`${post('/streams/m/events')}\r\n`, 1, get('/streams/m'), 2]],
  ['a TLS handshake', 0, [400], ['\x16\x03\x01\x02\x00\x01\x00', CLOSED]],
  ['the preface of HTTP/2', 0, [505], ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', CLOSED]],
  ['an end after the answer', 1, [200], [get('/streams/a'), 1, END, CLOSED]],
  ['an end at once', 0, [], [END, CLOSED]],
  ['an end in a head', 0, [400], [get('/streams/a').slice(0, -5), END, CLOSED]],
  ['an end in a body', 0, [400], [post('/streams/n/events').slice(0, -5), END, CLOSED]],
  ['an end in the second body', 1, [200, 400], [get('/streams/a'), 1, post('/streams/n/events').slice(0, -5), END, CLOSED]],
  ['a large body', 1, [200, 413, 200], [get('/streams/a'), 1, post('/streams/a/events', ' '.repeat(70_000)), 2, get('/streams/a'), 3]],
]

t.test("a client gets the same bytes as from Node's server", async (t) => {
  const { plain, node } = await startBoth(t, () => ({
    tokens: `read+append:${TOKEN}`,
    parts: { limits: { maxBodyBytes: 10_000, maxEvents: 1_000, maxEventBytes: 10_000, maxMetadataBytes: 10_000 } },
  }))
  for (const [title, count, statuses, steps] of CONVERSATIONS) {
    const before = plain.seen.plain
    const [found, wanted] = [await exchange(t, plain.port, steps), await exchange(t, node.port, steps)]
    t.equal(found, wanted, title)
    t.same(
      [...found.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status)),
      statuses,
      `${title}: the statuses`,
    )
    t.equal(plain.seen.plain - before, count, `${title}: ${count} came the short way`)
  }
  t.equal(node.seen.plain, 0)
  t.same([plain.lifecycle.inFlight, node.lifecycle.inFlight], [0, 0])
})

t.test('whatever is asked and however it is cut into packets, it is answered in order', async (t) => {
  const { port, lifecycle, seen } = await start(t, true)
  const kinds = [
    (id: string) => post('/streams/a/events', EVENT, id),
    (id: string) => post('/streams/a/events', '{', id),
    (id: string) => get('/streams/a/events?limit=3', id),
    (id: string) => get('/streams/a', id),
    (id: string) => get('/streams/nothing', id),
    (id: string) => get('/health/live', id),
    (id: string) => get('/streams/a/events', `Accept: application/x-ndjson\r\n${id}`),
    (id: string) => post('/events', EVENT, `${id}Connection: Keep-Alive\r\n`),
  ]
  const conversation = fc.array(
    fc.record({
      kind: fc.oneof({ weight: 6, arbitrary: fc.nat(4) }, { weight: 1, arbitrary: fc.nat(kinds.length - 1) }),
      cuts: fc.oneof(fc.constant<number[]>([]), fc.array(fc.nat(300), { maxLength: 3 })),
      pause: fc.constantFrom('none', 'round', 'ms'),
      next: fc.constantFrom(
        'after the answer',
        'after the answer',
        'after the answer',
        'at once',
        'in the same packet',
      ),
    }),
    { minLength: 1, maxLength: 8 },
  )
  await fc.assert(
    fc.asyncProperty(conversation, async (conversation) => {
      const client = await open(t, port)
      let text = ''
      for (const [i, { kind, cuts, pause, next }] of conversation.entries()) {
        text += (kinds[kind] as (id: string) => string)(`X-Request-Id: id-${i}\r\n`)
        if (next === 'in the same packet' && i < conversation.length - 1) continue
        const ends = [...cuts.filter((cut) => cut < text.length).sort((a, b) => a - b), text.length]
        for (const [j, end] of ends.entries()) {
          client.write(text.slice(ends[j - 1] ?? 0, end))
          if (pause === 'round') await nextRound()
          if (pause === 'ms') await sleep(1)
        }
        text = ''
        if (next === 'after the answer') await client.answers(i + 1)
      }
      await client.answers(conversation.length)
      client.destroy()
      const answered = [...client.text().matchAll(/^x-request-id: (.*)\r$/gm)].map(([, id]) => id)
      assert.deepEqual(
        answered,
        conversation.map((_, i) => `id-${i}`),
      )
    }),
    { numRuns: 300 },
  )
  await until(() => lifecycle.inFlight === 0)
  t.ok(seen.plain > 100 && seen.plain < seen.all, `${seen.plain} of ${seen.all} came the short way`)
})

/** An event log whose appends wait until they are let go. */
function waitingLog() {
  const memory = new InMemoryEventLog()
  let letGo = () => {}
  const isFree = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const log = new Proxy(memory as EventLog, {
    get: (target, name) => {
      const member = Reflect.get(target, name).bind(target)
      return name === 'append' ? (...args: unknown[]) => isFree.then(() => member(...args)) : member
    },
  })
  return { log, letGo }
}

/** Statuses under which requests were counted. */
function statusCounter() {
  const statuses: number[] = []
  const metrics = {
    timer: (_method: string, _route: string, status: number) => ({ observe: () => void statuses.push(status) }),
    malformed: () => {},
    surplus: () => {},
  }
  return { metrics, statuses }
}

t.test('a second request waits for the answer to the first', async (t) => {
  for (const hasPlain of [true, false]) {
    const { log, letGo } = waitingLog()
    const { port, lifecycle, seen } = await start(t, hasPlain, { parts: { log } })
    const client = await open(t, port)
    client.write(post('/streams/a/events'))
    await until(() => lifecycle.inFlight === 1)
    client.write(get('/streams/nothing'))
    await arrives()
    client.write(get('/streams/b').slice(0, 20))
    await sleep(20)
    t.equal(client.text(), '')
    letGo()
    await client.answers(2)
    client.write(get('/streams/b').slice(20))
    await client.answers(3)
    t.same(client.text().match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 201', 'HTTP/1.1 404', 'HTTP/1.1 404'])
    t.equal(seen.plain, hasPlain ? 2 : 0)
  }
})

t.test('who leaves before the answer, or sends no more, is counted as gone', async (t) => {
  for (const hasPlain of [true, false]) {
    for (const leave of ['destroy', 'resetAndDestroy', 'end'] as const) {
      const { log, letGo } = waitingLog()
      const { metrics, statuses } = statusCounter()
      const { port, lifecycle, seen } = await start(t, hasPlain, { parts: { log, metrics } })
      const client = await open(t, port)
      client.write(post('/streams/a/events'))
      await until(() => lifecycle.inFlight === 1)
      client[leave]()
      await until(() => lifecycle.inFlight === 0)
      letGo()
      await until(async () => (await log.head()) === 1)
      await nextRound()
      t.same(statuses, [499], `${leave}, ${hasPlain}`)
      t.equal(client.text(), '')
      t.equal(seen.plain, hasPlain ? 1 : 0)
    }
  }
})

t.test('what does not arrive is answered 408, and what says nothing is closed', async (t) => {
  const { both } = await startBoth(t, () => ({ parts: { arrival: { headersMs: 300, requestMs: 600 } } }))
  const late: [title: string, steps: Step[]][] = [
    ['half a head', [get('/streams/a').slice(0, 30)]],
    ['half a body', [post('/streams/a/events').slice(0, -5)]],
    ['half a body after an answer', [get('/streams/a'), 1, post('/streams/a/events').slice(0, -5)]],
    ['nothing', []],
  ]
  const answers = await Promise.all(
    both.map(({ port }) => Promise.all(late.map(([, steps]) => exchange(t, port, [...steps, CLOSED])))),
  )
  for (const [i, [title]] of late.entries()) {
    t.equal(answers[0]?.[i], answers[1]?.[i], title)
    t.match(answers[0]?.[i], /408 Request Timeout[^]*"code":"request_timeout"/, title)
  }
  t.equal(both[0]?.lifecycle.inFlight, 0)
})

t.test('a body that takes its time is taken all the same', async (t) => {
  const { port, seen } = await start(t, true)
  const client = await open(t, port)
  client.write(post('/streams/a/events').slice(0, -10))
  // Longer than the short way waits.
  await until(() => seen.all === 1)
  t.equal(seen.plain, 0)
  client.write(post('/streams/a/events').slice(-10))
  await client.answers(1)
  t.match(client.text(), /^HTTP\/1\.1 201 /)
})

t.test('a connection that is idle for long is closed, and no sooner', async (t) => {
  const outlive = async (hasPlain: boolean) => {
    const { connections, port, seen } = await start(t, hasPlain, { keepAliveMs: 2_000 })
    const client = await open(t, port)
    for (let i = 1; i <= 4; i++) {
      client.write(get('/streams/a'))
      await client.answers(i)
      await sleep(800)
    }
    t.match(client.text(), /Keep-Alive: timeout=2\r\n/)
    t.equal(client.closed, false)
    await until(() => client.closed)
    t.equal(seen.plain, hasPlain ? 4 : 0)
    t.equal(await connections(), 0)
  }
  await Promise.all([outlive(true), outlive(false)])
})

/** An event log with a page that no buffer of the system takes, once, and then with small ones. */
function largePageLog() {
  const pages = [32 * 1024 * 1024]
  return Object.assign(new InMemoryEventLog(), {
    readStreamText: async () => {
      const json = Buffer.from(`${JSON.stringify('x'.repeat(pages.shift() ?? 1))},`)
      return { head: 1, json, count: 1, last: 1, isFull: false }
    },
  })
}

t.test('a reader that takes nothing has one answer waiting, and no other request is taken up', async (t) => {
  const { port, lifecycle, seen } = await start(t, true, { parts: { log: largePageLog() } })
  const client = await open(t, port)
  client.pause()
  client.write(get('/streams/a/events'))
  await until(() => seen.all === 1)
  for (let i = 0; i < 10; i++) client.write(get('/streams/a/events').repeat(1_000))
  await sleep(300)
  t.same([seen.plain, seen.all, lifecycle.inFlight], [1, 1, 1])
  client.resume()
  await until(() => lifecycle.inFlight === 0 && seen.all === 10_001)
  await until(() => client.text().split('HTTP/1.1 200 OK').length === 10_002)
  t.ok(client.text().indexOf('HTTP/1.1 200', 1) > 32 * 1024 * 1024, 'the first answer is whole')
})

t.test('an answer that is cut off is not reported as a whole one', async (t) => {
  const lines: string[] = []
  const requestLog = { mode: 'all' as const, slowMs: 1_000, write: (line: string) => void lines.push(line) }
  const { port, lifecycle, seen } = await start(t, true, { parts: { log: largePageLog(), requestLog } })
  const client = await open(t, port)
  client.pause()
  client.write(get('/streams/a/events'))
  await until(() => seen.plain === 1)
  await sleep(50)
  t.equal(lifecycle.inFlight, 1)
  client.destroy()
  await until(() => lifecycle.inFlight === 0)
  t.match(lines, [/"status":200,.*"aborted":true/])
})

t.test('a drain ends what is idle, and what is under way is answered first', async (t) => {
  for (const hasPlain of [true, false]) {
    const { log, letGo } = waitingLog()
    const { app, port, lifecycle, seen } = await start(t, hasPlain, { parts: { log } })
    const [idle, silent, busy] = [await open(t, port), await open(t, port), await open(t, port)]
    idle.write(get('/streams/a'))
    await idle.answers(1)
    busy.write(post('/streams/a/events'))
    await until(() => lifecycle.inFlight === 1)
    const drained = drain(app, lifecycle, { delayMs: 0, timeoutMs: 5_000 })
    await sleep(50)
    // What comes on a connection that answers its last request is not looked at any more.
    busy.write(post('/streams/a/events'))
    letGo()
    await drained
    await until(() => idle.closed && silent.closed && busy.closed)
    t.match(busy.text(), /^HTTP\/1\.1 201 Created[^]*\r\nconnection: close\r\n/)
    t.equal(busy.text().split('HTTP/1.1').length, 2)
    t.equal(seen.plain, hasPlain ? 2 : 0)
    t.equal(await log.head(), 1)
  }
})

t.test('a request whose body is still to come when the service ends is refused', async (t) => {
  const { app, port, lifecycle, seen } = await start(t, true)
  const client = await open(t, port)
  client.write(post('/streams/a/events').slice(0, -1))
  await sleep(50)
  t.equal(seen.all, 0)
  await drain(app, lifecycle, { delayMs: 0, timeoutMs: 5_000 })
  await until(() => client.closed)
  t.match(client.text(), /^HTTP\/1\.1 503 [^]*\r\nconnection: close\r\n[^]*"code":"shutting_down"/)
})

t.test('after an answer that is the last one the connection goes, though its client keeps it', async (t) => {
  const { connections, lifecycle, port, seen } = await start(t, true)
  lifecycle.leave()
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  socket.resume().write(get('/streams/a'))
  await once(socket, 'end')
  await until(async () => (await connections()) === 0)
  t.equal(seen.plain, 1)
})

t.test('what has no answer in time gets one, and the late one is not sent', async (t) => {
  const { log, letGo } = waitingLog()
  const { port, lifecycle, seen } = await start(t, true, { parts: { log } })
  t.teardown(keepDeadline(lifecycle, 1_000))
  const client = await open(t, port)
  client.write(post('/streams/a/events'))
  await client.answers(1)
  t.match(client.text(), /^HTTP\/1\.1 503 [^]*"code":"commit_outcome_unknown"/)
  letGo()
  await until(async () => (await log.head()) === 1)
  client.write(get('/streams/a'))
  await client.answers(2)
  t.match(client.text(), /503 [^]*HTTP\/1\.1 200 OK[^]*"version":1/)
  t.equal(client.text().split('HTTP/1.1').length, 3)
  t.equal(seen.plain, 2)
})

t.test('all connections can be cut, whatever they are at', async (t) => {
  const { log } = waitingLog()
  const { app, connections, port, lifecycle } = await start(t, true, { parts: { log } })
  const clients: Client[] = []
  for (let i = 0; i < 4; i++) clients.push(await open(t, port))
  const [, idle, half, busy] = clients
  idle?.write(get('/streams/a'))
  await idle?.answers(1)
  half?.write(post('/streams/a/events').slice(0, -1))
  busy?.write(post('/streams/a/events'))
  await until(() => lifecycle.inFlight === 1)
  app.server.closeIdleConnections()
  await until(() => idle?.closed === true)
  t.same(
    clients.map(({ closed }) => closed),
    [false, true, false, false],
    'only what had an answer is idle',
  )
  app.server.closeAllConnections()
  await until(() => clients.every(({ closed }) => closed) && lifecycle.inFlight === 0)
  t.equal(await connections(), 0)
})

t.test('a connection gathers nothing from its requests, and leaves nothing when it goes over', async (t) => {
  const { both } = await startBoth(t)
  const listeners = []
  for (const { app, port } of both) {
    const sockets: Socket[] = []
    app.server.on('connection', (socket) => sockets.push(socket))
    const client = await open(t, port)
    const counts = async (request: string, times: number) => {
      const before = client.text().split('HTTP/1.1').length - 1
      for (let i = 1; i <= times; i++) {
        client.write(request)
        await client.answers(before + i)
      }
      const [socket] = sockets as [Socket]
      return Object.fromEntries(socket.eventNames().map((name) => [String(name), socket.listenerCount(name)]))
    }
    t.same(await counts(get('/streams/a'), 1), await counts(get('/streams/a'), 30))
    listeners.push(await counts(get('/health/live'), 1))
  }
  t.same(listeners[0], listeners[1])
})

t.test('no header can be forged', (t) => {
  const request = new PlainRequest(
    { method: 'GET', url: '/', headers: {}, rawHeaders: [], headBytes: 0, bodyBytes: 0 },
    Buffer.alloc(0),
    connect({ port: 1, host: '127.0.0.1' }).on('error', () => {}),
  )
  const plain = () => new PlainResponse(request, '', () => {})
  const node = () => new ServerResponse(new IncomingMessage(request.socket))
  const headers = [
    ...['a\r\nb: c', 'a\nb', 'a\rb', 'a\x00', '\x7f', '\u0100'].map((value) => ({ x: value })),
    ...['x y', 'x:', 'x\r\n', '', '\xe4'].map((name) => ({ [name]: 'a' })),
    { x: ['a', 'b\r\nc: d'] },
  ]
  for (const each of headers) {
    const title = JSON.stringify(each)
    let wanted: { code?: string } = {}
    try {
      node().writeHead(200, each)
    } catch (error) {
      wanted = error as { code: string }
    }
    t.match(wanted.code, /^ERR_INVALID_/, title)
    const response = plain()
    t.throws(() => response.writeHead(200, each), { code: wanted.code as string }, title)
    t.equal(response.headersSent, false, title)
    t.throws(
      () => {
        const [name, value] = Object.entries(each)[0] as [string, string]
        plain().setHeader(name, value).writeHead(200)
      },
      { code: wanted.code as string },
      `${title}, set before`,
    )
  }
  t.doesNotThrow(() => plain().writeHead(200, { x: ['a', 'b\t\xe4'], 'content-length': 3 }))
  t.throws(() => plain().writeHead(200).writeHead(200))
  t.end()
})

t.test('an answer that may have no body has none, whatever is given', (t) => {
  for (const status of [204, 304]) {
    const socket = new PassThrough()
    const head = { method: 'GET', url: '/', headers: {}, rawHeaders: [], headBytes: 0, bodyBytes: 0 }
    const request = new PlainRequest(head, Buffer.alloc(0), socket as unknown as Socket)
    new PlainResponse(request, '', () => {}).writeHead(status, { etag: '"1"' }).end('body')
    t.match(String(socket.read()), /^HTTP\/1\.1 [23]04 .*\r\netag: "1"\r\nDate: .* GMT\r\n\r\n$/)
  }
  t.end()
})

t.test('the address of a client is that of a plain connection too, or what a trusted proxy says', async (t) => {
  const ips: string[] = []
  const { both } = await startBoth(t, () => ({
    parts: {
      trustProxy: ['127.0.0.1'],
      rateLimit: (request, _reply, done) => {
        ips.push(request.ip)
        done()
      },
    },
  }))
  for (const { port } of both) {
    const client = await open(t, port)
    client.write(get('/streams/a'))
    await client.answers(1)
    client.write(get('/streams/a', 'X-Forwarded-For: 203.0.113.7, 198.51.100.1\r\n'))
    await client.answers(2)
  }
  t.same(ips, ['127.0.0.1', '198.51.100.1', '127.0.0.1', '198.51.100.1'])
  t.same([both[0]?.seen.plain, both[1]?.seen.plain], [2, 0])
})
