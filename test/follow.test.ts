// Following on PostgreSQL: many writers, killed backends, lost wake-ups, other processes, transactions left open.

import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { loadSettings } from '../src/config.ts'
import { runMigrations } from '../src/db/migrations/migrator.ts'
import { openLog } from '../src/logger.ts'
import { type Service, startService } from '../src/service.ts'
import { createTestDatabase, type Teardown } from './support/postgres.ts'

// Long runs are for hands; the suite takes a few seconds of each.
const SECONDS = Number(process.env['FOLLOW_TEST_SECONDS'] ?? 4)
const RECONNECTS = Number(process.env['FOLLOW_TEST_RECONNECTS'] ?? 100)
/** What takes longer than this hangs. */
const HANG_MS = 60_000

async function start(t: Teardown, url: string): Promise<Service> {
  const { settings } = loadSettings({ DATABASE_URL: url, PORT: '0', LOG_LEVEL: 'silent', HEARTBEAT_SECONDS: '1' })
  const service = await startService({ settings, log: openLog(settings) })
  t.teardown(() => service.close())
  await service.ready
  return service
}

async function connect(t: Teardown, url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end())
  return client
}

async function database(t: Teardown): Promise<{ url: string; client: pg.Client }> {
  const { url } = await createTestDatabase(t)
  await runMigrations(url)
  return { url, client: await connect(t, url) }
}

const append = (service: Service, stream: string, body: object) =>
  fetch(`${service.url}/streams/${stream}/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

/** Reads an answer that goes on, line by line; reconnects at the cursor when it breaks, and now and then on purpose. */
class Reader {
  readonly seen: string[] = []
  connects = 0
  readonly #stop = new AbortController()
  readonly #done: Promise<void>
  #cursor = 0

  /** `breakAfter`: so many characters are read before a connection is left, wherever that is. */
  constructor(service: Service | Service[], form: 'sse' | 'ndjson', breakAfter?: () => number) {
    this.#done = this.#run([service].flat(), form, breakAfter)
  }

  async #run(services: Service[], form: 'sse' | 'ndjson', breakAfter?: () => number): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        const service = services[this.connects % services.length] as Service
        await this.#connect(service, form, breakAfter?.() ?? Number.POSITIVE_INFINITY)
      } catch {
        await sleep(20)
      }
    }
  }

  async #connect(service: Service, form: 'sse' | 'ndjson', characters: number): Promise<void> {
    this.connects++
    const headers: Record<string, string> =
      form === 'sse'
        ? { accept: 'text/event-stream', 'last-event-id': String(this.#cursor) }
        : { accept: 'application/x-ndjson' }
    const query = form === 'sse' ? '' : `?follow=true&after=${this.#cursor}`
    const response = await fetch(`${service.url}/events${query}`, { headers, signal: this.#stop.signal })
    if (response.status !== 200 || response.body === null) throw new Error(`answered ${response.status}`)
    let text = ''
    let left = characters
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text += chunk.slice(0, left)
      left -= chunk.length
      const lines = text.split('\n')
      text = lines.pop() as string
      for (const line of lines) {
        const json = form === 'sse' ? /^data: (.*)$/.exec(line)?.[1] : line
        if (json === undefined || !json.includes('"stream_id"')) continue
        const { position, id } = JSON.parse(json) as { position: number; id: string }
        this.seen.push(`${position} ${id}`)
        this.#cursor = position
      }
      if (left <= 0) return
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#done
  }
}

/** In words, where what was seen is not the feed; the feed can be long. */
function difference(seen: string[], all: string[]): string | undefined {
  const at = all.findIndex((each, i) => each !== seen[i])
  if (at === -1 && seen.length === all.length) return undefined
  return `${seen.length} of ${all.length}; at ${at} it was ${seen[at]}, not ${all[at]}`
}

/** It ends with the first empty page that was asked for when nothing more could be written. */
async function poll(service: Service, wait: string, isWritten: () => boolean): Promise<string[]> {
  const seen: string[] = []
  let next = `/events?limit=100${wait}`
  for (;;) {
    const last = isWritten()
    const response = await fetch(service.url + next)
    if (response.status !== 200) {
      await sleep(20)
      continue
    }
    const page = (await response.json()) as { events: { position: number; id: string }[]; next: string }
    for (const { position, id } of page.events) seen.push(`${position} ${id}`)
    next = page.next
    if (last && page.events.length === 0) return seen
  }
}

t.test('every kind of reader sees the same feed while writers conflict and backends are killed', async (t) => {
  const { url, client } = await database(t)
  const [service, other] = [await start(t, url), await start(t, url)] as const
  let isOver = false
  let isWritten = false
  const statuses = new Map<number, number>()
  const writer = async (i: number) => {
    for (let n = 0; !isOver; n++) {
      const body = { events: [{ type: 'W', data: { i, n } }], ...(i % 4 === 0 ? { expected_version: n } : {}) }
      const response = await append(i % 2 === 0 ? service : other, `s${i % 5}`, body).catch(() => undefined)
      const status = response?.status ?? 0
      await response?.arrayBuffer()
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  const killer = async () => {
    while (!isOver) {
      await sleep(300)
      await client.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() order by random() limit 1`,
      )
    }
  }
  const readers = [
    new Reader(service, 'sse'),
    new Reader(service, 'ndjson'),
    new Reader(other, 'sse'),
    // Fewer characters than fifty events have.
    new Reader(service, 'sse', () => Math.random() * 10_000),
  ]
  const polls = [poll(service, '', () => isWritten), poll(other, '&wait=1', () => isWritten)]
  const writing = Promise.all([...Array.from({ length: 32 }, (_, i) => writer(i)), killer()])
  await sleep(SECONDS * 1000)
  isOver = true
  await writing
  isWritten = true
  const polled = await Promise.all(polls)
  const { rows } = await client.query('select position, event_id from events order by position')
  const all = rows.map(({ position, event_id }) => `${position} ${event_id}`)
  const deadline = Date.now() + HANG_MS
  while (readers.some(({ seen }) => seen.length < all.length) && Date.now() < deadline) await sleep(20)
  for (const reader of readers) await reader.stop()
  t.ok(all.length > 50, `${all.length} events`)
  t.ok((statuses.get(409) ?? 0) > 0, 'there were conflicts')
  t.notOk(statuses.get(500), 'and no 500')
  t.same(
    all.map((each) => Number(each.split(' ')[0])),
    Array.from({ length: all.length }, (_, i) => i + 1),
  )
  for (const [i, { seen }] of readers.entries()) t.equal(difference(seen, all), undefined, `reader ${i}`)
  for (const [i, seen] of polled.entries()) t.equal(difference(seen, all), undefined, `poll ${i}`)
  t.ok((readers[3]?.connects ?? 0) > 1, `${readers[3]?.connects} reconnects`)
})

t.test('an append in one process reaches a follower in another at once, and also when LISTEN is lost', async (t) => {
  const { url, client } = await database(t)
  const [service, other] = [await start(t, url), await start(t, url)] as const
  const reader = new Reader(other, 'sse')
  t.teardown(() => reader.stop())
  const arrives = async () => {
    const before = reader.seen.length
    const startedAt = performance.now()
    await append(service, 's', { events: [{ type: 'A' }] })
    while (reader.seen.length === before) await sleep(1)
    return performance.now() - startedAt
  }
  await arrives()
  const checks = async () =>
    ((await (await fetch(`${other.url}/health`)).json()) as { checks: { follow: object } }).checks.follow
  while (!JSON.stringify(await checks()).includes('listening')) await sleep(20)
  const times: number[] = []
  for (let i = 0; i < 20; i++) times.push(await arrives())
  t.ok((times.sort((a, b) => a - b)[10] as number) < 700, `median ${times[10]?.toFixed(1)} ms`)
  await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name like '% listen'`,
  )
  t.ok((await arrives()) < HANG_MS, 'the poll finds it')
})

t.test(
  'connections that are left anywhere, even within a frame, and go on with Last-Event-ID miss and repeat nothing',
  async (t) => {
    const { url, client } = await database(t)
    const services = [await start(t, url), await start(t, url)]
    const readers = Array.from({ length: 4 }, () => new Reader(services, 'sse', () => Math.random() * 2_000))
    t.teardown(() => Promise.all(readers.map((reader) => reader.stop())))
    const connects = () => readers.reduce((sum, reader) => sum + reader.connects - 1, 0)
    let events = 0
    while (connects() < RECONNECTS) {
      const { status } = await append(services[events % 2] as Service, `s${events % 7}`, { events: [{ type: 'A' }] })
      t.equal(status, 201)
      events++
    }
    const { rows } = await client.query('select position, event_id from events order by position')
    const all = rows.map(({ position, event_id }) => `${position} ${event_id}`)
    t.equal(all.length, events)
    const deadline = Date.now() + HANG_MS
    while (readers.some(({ seen }) => seen.length < all.length) && Date.now() < deadline) await sleep(20)
    for (const { seen } of readers) t.equal(difference(seen, all), undefined)
    t.comment(`${connects()} reconnects, ${events} events`)
  },
)

t.test('a LISTEN connection that is killed twice a second costs no event and no follower its connection', async (t) => {
  const { url, client } = await database(t)
  const [service, other] = [await start(t, url), await start(t, url)] as const
  const readers = [new Reader(other, 'sse'), new Reader(other, 'ndjson')]
  t.teardown(() => Promise.all(readers.map((reader) => reader.stop())))
  const endsAt = Date.now() + SECONDS * 1000
  let killed = 0
  let isOver = false
  const killing = (async () => {
    while (Date.now() < endsAt || killed < SECONDS) {
      await sleep(500)
      const { rowCount } = await client.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name like '% listen'`,
      )
      killed += rowCount ?? 0
    }
    isOver = true
  })()
  let events = 0
  while (!isOver) {
    t.equal((await append(service, 's', { events: [{ type: 'A' }] })).status, 201)
    events++
    await sleep(10)
  }
  await killing
  const deadline = Date.now() + HANG_MS
  while (readers.some(({ seen }) => seen.length < events) && Date.now() < deadline) await sleep(20)
  for (const { seen, connects } of readers) {
    t.same(
      seen.map((each) => Number(each.split(' ')[0])),
      Array.from({ length: events }, (_, i) => i + 1),
    )
    t.equal(connects, 1)
  }
  t.ok(killed >= SECONDS, `${killed} connections were killed`)
})

t.test('transactions left open in this database and in another one of the server delay nothing', async (t) => {
  const { url, client } = await database(t)
  const elsewhere = await database(t)
  const [service, other] = [await start(t, url), await start(t, url)] as const
  for (const each of [client, elsewhere.client]) {
    await each.query('create table unrelated (x int)')
    await each.query('begin')
    // A transaction that writes has an id, which is what a store can come to wait for.
    await each.query('insert into unrelated values (1)')
  }
  const readers = [new Reader(service, 'sse'), new Reader(service, 'ndjson'), new Reader(other, 'sse')]
  t.teardown(() => Promise.all(readers.map((reader) => reader.stop())))
  const endsAt = Date.now() + SECONDS * 1000
  let slowestMs = 0
  for (let position = 1; Date.now() < endsAt; position++) {
    const polled = fetch(`${other.url}/events?after=${position - 1}&wait=30`)
    await sleep(50)
    const startedAt = performance.now()
    t.equal((await append(service, 's', { events: [{ type: 'A' }] })).status, 201)
    const page = async (from: Service, query: string) =>
      (await (await fetch(`${from.url}/events?after=${position - 1}${query}`)).json()) as { events: object[] }
    t.match(await page(service, ''), { events: [{ position }] })
    t.match(await page(other, `&at_least=${position}`), { events: [{ position }] })
    t.match(await (await polled).json(), { events: [{ position }] })
    while (readers.some(({ seen }) => seen.length < position) && performance.now() - startedAt < HANG_MS) await sleep(1)
    for (const { seen } of readers) t.equal(seen.length, position)
    slowestMs = Math.max(slowestMs, performance.now() - startedAt)
  }
  // Only now: whoever waits for them would not have come this far.
  for (const each of [client, elsewhere.client]) t.equal((await each.query('commit')).command, 'COMMIT')
  t.comment(`the slowest event took ${slowestMs.toFixed(0)} ms to reach all readers`)
})

t.test('idle followers cost no database work beyond the tail', async (t) => {
  const { url, client } = await database(t)
  const service = await start(t, url)
  const readers = Array.from({ length: 100 }, () => new Reader(service, 'sse'))
  t.teardown(() => Promise.all(readers.map((reader) => reader.stop())))
  while (
    ((await (await fetch(`${service.url}/health`)).json()) as { checks: { follow: { followers: number } } }).checks
      .follow.followers < 100
  ) {
    await sleep(50)
  }
  const commits = async () => {
    await client.query('select pg_stat_clear_snapshot()')
    const { rows } = await client.query(
      'select xact_commit::int as n from pg_stat_database where datname = current_database()',
    )
    return rows[0].n as number
  }
  // A backend may report what it did for the readers' beginning as late as ten seconds afterwards.
  let perSecond = Number.POSITIVE_INFINITY
  for (const hangsAt = Date.now() + HANG_MS; perSecond >= 25 && Date.now() < hangsAt; ) {
    const before = await commits()
    const startedAt = performance.now()
    await sleep(3_000)
    perSecond = ((await commits()) - before) / ((performance.now() - startedAt) / 1000)
  }
  t.ok(perSecond < 25, `${perSecond.toFixed(1)} transactions a second`)
})
