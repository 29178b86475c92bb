// Following over HTTP, on the store in memory; what depends on PostgreSQL is in test/follow.test.ts.

import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Lifecycle } from '../../src/http/lifecycle.ts'
import { startTestApp } from '../support/app.ts'

let url: string
let lifecycle: Lifecycle
t.before(async () => {
  const app = await startTestApp()
  url = app.url
  lifecycle = app.lifecycle
  t.teardown(app.close)
})

async function append(stream: string, events: object[]): Promise<{ version: number; position: number }> {
  const response = await fetch(`${url}/streams/${encodeURIComponent(stream)}/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ events }),
  })
  return (await response.json()) as { version: number; position: number }
}

const headOf = async () => ((await (await fetch(`${url}/events?limit=1`)).json()) as { head: number }).head

interface Frame {
  id?: string
  event?: string
  data?: string
  comment?: string
}

/** An open answer, read frame by frame. */
class Live {
  readonly response: IncomingMessage
  readonly frames: Frame[] = []
  text = ''
  isEnded = false

  constructor(response: IncomingMessage) {
    this.response = response
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => this.#read(chunk))
    response.on('end', () => {
      this.isEnded = true
    })
    response.on('error', () => {})
  }

  static open(path: string, headers: Record<string, string>): Promise<Live> {
    return new Promise((resolve, reject) => {
      httpRequest(url + path, { headers }, (response) => resolve(new Live(response)))
        .on('error', reject)
        .end()
    })
  }

  #read(chunk: string): void {
    this.text += chunk
    const parts = this.text.split('\n\n')
    this.frames.length = 0
    for (const part of parts.slice(0, -1)) {
      const frame: Frame = {}
      for (const line of part.split('\n')) {
        if (line.startsWith(':')) frame.comment = line
        else Object.assign(frame, { [line.slice(0, line.indexOf(':'))]: line.slice(line.indexOf(':') + 2) })
      }
      this.frames.push(frame)
    }
  }

  events() {
    return this.frames.filter(({ event }) => event === 'event')
  }

  async until(condition: () => boolean, hangMs = 60_000): Promise<void> {
    const deadline = Date.now() + hangMs
    while (!condition()) {
      if (Date.now() > deadline) throw new Error(`it did not come: ${this.text.slice(-500)}`)
      await sleep(5)
    }
  }

  close(): void {
    this.response.destroy()
  }
}

const sse = { accept: 'text/event-stream' }

t.test('the feed as Server-Sent Events catches up, goes live and resumes', async (t) => {
  const start = await headOf()
  await append('a', [{ type: 'A' }, { type: 'B' }])
  const live = await Live.open(`/events?after=${start}`, sse)
  t.teardown(() => live.close())
  t.match(live.response.headers, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  await live.until(() => live.events().length === 2)
  await append('a', [{ type: 'C', data: { text: 'line\nbreak\r\ndata: x\n\nid: 99\u2028' } }])
  await live.until(() => live.events().length === 3)
  t.same(
    live.events().map(({ id }) => Number(id)),
    [start + 1, start + 2, start + 3],
  )
  const [, , third] = live.events()
  t.match(JSON.parse(third?.data as string), { type: 'C', data: { text: 'line\nbreak\r\ndata: x\n\nid: 99\u2028' } })
  const resumed = await Live.open('/events', { ...sse, 'last-event-id': String(start + 2) })
  t.teardown(() => resumed.close())
  await resumed.until(() => resumed.events().length === 1)
  t.equal(resumed.events()[0]?.id, String(start + 3))
  await live.until(() => live.frames.some(({ comment }) => comment === ': heartbeat'))
})

t.test('a filtered feed gets checkpoints that never exceed the head', async (t) => {
  const start = await headOf()
  const live = await Live.open(`/events?after=${start}&type=Wanted`, sse)
  t.teardown(() => live.close())
  await append('b', [{ type: 'Other' }, { type: 'Wanted' }, { type: 'Other' }, { type: 'Other' }])
  await live.until(() => live.frames.some(({ event, id }) => event === 'checkpoint' && id === String(start + 4)))
  t.same(
    live.events().map(({ id }) => Number(id)),
    [start + 2],
  )
  const last = live.frames.findLast(({ event }) => event === 'checkpoint')
  t.same(JSON.parse(last?.data as string), { position: start + 4 })
  const head = await headOf()
  t.ok(live.frames.every(({ id }) => id === undefined || Number(id) <= head))
})

t.test('a checkpoint comes after ten thousand events passed over', async (t) => {
  const start = await headOf()
  for (let i = 0; i < 12; i++)
    await append(
      'c',
      Array.from({ length: 1000 }, () => ({ type: 'Other' })),
    )
  const live = await Live.open(`/events?after=${start}&type=None`, sse)
  t.teardown(() => live.close())
  // With a filter a heartbeat is a checkpoint too, and may come sooner.
  const first = () => live.frames.find(({ id }) => id !== undefined && id !== String(start))
  await live.until(() => first() !== undefined)
  t.same(first(), { id: String(start + 10_000), event: 'checkpoint', data: `{"position":${start + 10_000}}` })
})

t.test('a stream is followed by version, also before it exists', async (t) => {
  const live = await Live.open('/streams/later/events', sse)
  t.teardown(() => live.close())
  await append('other', [{ type: 'A' }])
  await append('later', [{ type: 'A' }, { type: 'B' }])
  await live.until(() => live.events().length === 2)
  t.same(
    live.events().map(({ id }) => id),
    ['1', '2'],
  )
  const rest = await Live.open('/streams/later/events?from_version=2', sse)
  t.teardown(() => rest.close())
  await append('later', [{ type: 'C' }])
  await rest.until(() => rest.events().length === 2)
  t.same(
    rest.events().map(({ id }) => id),
    ['2', '3'],
  )
  const filtered = await Live.open('/streams/later/events?type=C', sse)
  t.teardown(() => filtered.close())
  const caughtUp = () => filtered.frames.some(({ event, data }) => event === 'checkpoint' && data === '{"version":3}')
  await filtered.until(caughtUp)
  t.same(
    filtered.events().map(({ id }) => id),
    ['3'],
  )
})

t.test('lines go on with follow=true and say that they live', async (t) => {
  const start = await headOf()
  const live = await Live.open(`/events?after=${start}&follow=true`, { accept: 'application/x-ndjson' })
  t.teardown(() => live.close())
  t.equal(live.response.headers['content-type'], 'application/x-ndjson')
  await append('d', [{ type: 'A' }])
  await live.until(() => live.text.includes(`{"heartbeat":true,"position":${start + 1}}`))
  const lines = live.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.equal(lines.find(({ stream_id }) => stream_id === 'd').position, start + 1)
  t.same(
    lines.findLast(({ heartbeat }) => heartbeat),
    { heartbeat: true, position: start + 1 },
  )
})

t.test('a long poll answers when something comes, or with an empty page', async (t) => {
  const start = await headOf()
  const startedAt = Date.now()
  const waiting = fetch(`${url}/events?after=${start}&wait=60&type=Hit`)
  await sleep(50)
  await append('e', [{ type: 'Miss' }])
  await sleep(50)
  await append('e', [{ type: 'Hit' }])
  const page = (await (await waiting).json()) as { events: { position: number }[]; next: string }
  t.same(
    page.events.map(({ position }) => position),
    [start + 2],
  )
  t.match(page.next, /wait=60/)
  t.ok(Date.now() - startedAt < 50_000, 'before the wait is over')
  const empty = (await (await fetch(`${url}/events?after=${start + 2}&wait=1`)).json()) as { events: unknown[] }
  t.same(empty.events, [])
  const unborn = fetch(`${url}/streams/unborn/events?wait=10`)
  await sleep(50)
  await append('unborn', [{ type: 'A' }])
  t.equal((await unborn).status, 200)
  t.equal((await fetch(`${url}/streams/never/events?wait=1`)).status, 404)
})

t.test('a read waits until a position is visible, or says that it is not', async (t) => {
  const head = await headOf()
  const waiting = fetch(`${url}/events?after=${head}&at_least=${head + 1}`)
  await sleep(50)
  await append('f', [{ type: 'A' }])
  t.equal(((await (await waiting).json()) as { events: unknown[] }).events.length, 1)
  for (const path of ['/events', '/streams/f/events', '/streams/f', '/streams']) {
    const answer = await fetch(`${url}${path}?at_least=${head + 100}&at_least_wait=0`)
    t.equal(answer.status, 503, path)
    t.match(await answer.json(), { code: 'not_yet_visible', retryable: true })
    t.ok(answer.headers.get('retry-after'))
    t.equal((await fetch(`${url}${path}?at_least=${head + 1}`)).status, 200)
  }
})

t.test('what can not be followed is refused before anything is sent', async (t) => {
  const head = await headOf()
  const cases: [string, Record<string, string>, number, string][] = [
    ['/events?limit=5', sse, 400, 'query/limit'],
    ['/events?direction=forward', sse, 400, 'query/direction'],
    ['/events?follow=true&limit=5', { accept: 'application/x-ndjson' }, 400, 'query/limit'],
    ['/events', { ...sse, 'last-event-id': 'x' }, 400, 'header/last-event-id'],
    ['/events', { ...sse, 'last-event-id': '-1' }, 400, 'header/last-event-id'],
    ['/events?wait=5&direction=backward', {}, 400, 'query/wait'],
    ['/events?wait=0', {}, 400, 'query/wait'],
    ['/events?wait=61', {}, 400, 'query/wait'],
    ['/events?wait=5', sse, 400, 'query/wait'],
  ]
  for (const [path, headers, status, pointer] of cases) {
    const response = await fetch(url + path, { headers })
    t.equal(response.status, status, path)
    t.match(await response.json(), { errors: [{ pointer }] })
  }
  const ahead = await fetch(`${url}/events`, { headers: { ...sse, 'last-event-id': String(head + 1) } })
  t.match([ahead.status, await ahead.json()], [409, { code: 'cursor_ahead', head }])
  const at = await Live.open('/events', { ...sse, 'last-event-id': String(head) })
  t.equal(at.response.statusCode, 200)
  at.close()
})

t.test('a reader that stops reading is ended with its cursor when it reads again, and costs no memory', async (t) => {
  const start = await headOf()
  const live = await Live.open(`/events?after=${start}`, sse)
  t.teardown(() => live.close())
  live.response.pause()
  const data = 'x'.repeat(500_000)
  for (let i = 0; i < 100; i++) await append('g', [{ type: 'Large', data }])
  live.response.resume()
  await live.until(() => live.isEnded, 120_000)
  const positions = live.events().map(({ id }) => Number(id))
  t.same(
    positions,
    positions.map((_, i) => start + 1 + i),
  )
  t.ok(positions.length < 50, `${positions.length} of 100 events were kept for it`)
  const position = positions.at(-1)
  t.same(live.frames.at(-1), { event: 'goodbye', data: `{"reason":"overflow","position":${position}}` })
})

t.test('a drain does not wait for a reader that was ended and takes nothing', async (t) => {
  const app = await startTestApp()
  t.teardown(app.close)
  const socket = connect(app.port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.write('GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n')
  await new Promise((resolve) => socket.once('data', resolve))
  socket.pause()
  for (let i = 0; i < 40; i++) {
    await fetch(`${app.url}/streams/h/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ events: [{ type: 'Large', data: 'x'.repeat(500_000) }] }),
    })
  }
  t.equal(app.lifecycle.streams, 1, 'it still has the time to read')
  app.lifecycle.drain()
  const deadline = Date.now() + 20_000
  while (app.lifecycle.streams > 0 && Date.now() < deadline) await sleep(20)
  t.equal(app.lifecycle.streams, 0)
})

t.test('a drain says goodbye with the cursor', async (t) => {
  const head = await headOf()
  const live = await Live.open(`/events?after=${head}`, sse)
  const poll = fetch(`${url}/events?after=${head}&wait=30`)
  await live.until(() => lifecycle.inFlight === 2)
  lifecycle.drain()
  await live.until(() => live.isEnded)
  t.same(live.frames.at(-1), { event: 'goodbye', data: `{"reason":"shutting_down","position":${head}}` })
  t.equal((await poll).status, 200, 'a long poll is answered')
})
