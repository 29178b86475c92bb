// Everything that goes on behind PgBouncer in transaction mode: following, consumers, snapshots. No session is ours
// there, so notifications do not arrive and prepared statements do not last.

import pg from 'pg'
import t from 'tap'
import { runMigrations } from '../src/db/migrations/migrator.ts'
import type { Service } from '../src/service.ts'
import { isPgBouncerAbsent, type PgBouncer, startPgBouncer } from './support/pgbouncer.ts'
import { createTestDatabase, type Teardown } from './support/postgres.ts'
import { ask, startTestService, until } from './support/service.ts'

const SIZE = 3

interface Event {
  position: number
  stream_id: string
  version: number
}

t.test('behind PgBouncer', { skip: isPgBouncerAbsent }, async (t) => {
  const { url } = await createTestDatabase(t)
  await runMigrations(url)
  const bouncer = await startPgBouncer(t, url, { mode: 'transaction', size: SIZE })
  const start = async (env: Record<string, string> = {}) => {
    const common = { DATABASE_URL: bouncer.url, LOG_LEVEL: 'silent', HEARTBEAT_SECONDS: '1' }
    const service = await startTestService(t, { ...common, ...env })
    await service.ready
    return service
  }
  const [service, other] = [await start(), await start()] as const

  const call = (at: Service, method: string, path: string, body?: object) =>
    ask(at.url + path, {
      method,
      ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
  const append = (at: Service, stream: string, count = 1) =>
    call(at, 'POST', `/streams/${stream}/events`, { events: Array.from({ length: count }, () => ({ type: 'E' })) })
  const wakeUps = async (at: Service) =>
    ((await call(at, 'GET', '/health')).body['checks'] as { follow: { wake_ups: object } }).follow.wake_ups

  /** Follows until the test ends; what came is in `seen`. */
  const follow = async (t: Teardown, at: Service, accept: string, query: string) => {
    const seen: number[] = []
    const stop = new AbortController()
    const { status, body } = await fetch(`${at.url}/events${query}`, { headers: { accept }, signal: stop.signal })
    if (status !== 200 || body === null) throw new Error(`answered ${status}`)
    const done = (async () => {
      let text = ''
      for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
        const lines = (text + chunk).split('\n')
        text = lines.pop() as string
        for (const line of lines) {
          const json = line.replace(/^data: /, '')
          if (json.startsWith('{"position"') && json.includes('"stream_id"')) seen.push(JSON.parse(json).position)
        }
      }
    })().catch(() => {})
    t.teardown(async () => {
      stop.abort()
      await done
    })
    return seen
  }

  t.test('what one process stores reaches those who follow at another, which says that it polls', async (t) => {
    const readers = [
      await follow(t, other, 'text/event-stream', ''),
      await follow(t, other, 'application/x-ndjson', '?follow=true'),
      await follow(t, service, 'text/event-stream', '?type=E'),
    ]
    const total = 400
    const writers = Array.from({ length: 8 }, async (_, i) => {
      for (let n = 0; n < total / 8; n++) {
        const { status } = await append(n % 2 === 0 ? service : other, `s${i}`)
        if (status !== 201) throw new Error(`append answered ${status}`)
      }
    })
    await Promise.all(writers)
    await until(() => readers.every((seen) => seen.length >= total))
    const all = Array.from({ length: total }, (_, i) => i + 1)
    for (const seen of readers) t.same(seen, all)
    const waiting = call(other, 'GET', `/events?after=${total}&wait=30`)
    await append(service, 's0')
    t.match((await waiting).body, { events: [{ position: total + 1 }] })
    for (const at of [service, other]) t.same(await wakeUps(at), { mode: 'polling', reason: 'pooler' })
  })

  t.test('with the direct URL they are woken', async (t) => {
    const direct = await start({ DATABASE_DIRECT_URL: url })
    const { body } = await call(direct, 'GET', '/events?limit=1')
    const head = body['head'] as number
    const seen = await follow(t, direct, 'text/event-stream', `?after=${head}`)
    await until(async () => JSON.stringify(await wakeUps(direct)) === '{"mode":"listening"}')
    await append(service, 'woken')
    await until(() => seen.length === 1)
    t.same(seen, [head + 1])
  })

  t.test('consumers claim, acknowledge, fail, park and replay', async (t) => {
    t.equal(
      (await call(service, 'PUT', '/consumers/c', { filter: { stream_prefix: 'c-' }, partitions: 4 })).status,
      201,
    )
    for (let i = 0; i < 10; i++) t.equal((await append(service, `c-${i}`, 20)).status, 201)
    const seen = new Map<string, number[]>()
    let parked = 0
    const work = async (at: Service, member: string) => {
      for (let empty = 0; empty < 3; ) {
        const lease = await call(at, 'POST', '/consumers/c/claim', { member, limit: 30, wait: 1 })
        if (lease.status !== 200) throw new Error(`claim answered ${JSON.stringify(lease.body)}`)
        const { token, events, attempts } = lease.body as { token: string; events: Event[]; attempts: number[] }
        if (events.length === 0) {
          empty++
          continue
        }
        // The tenth event of each stream fails at first, and is then set aside.
        const bad = events.findIndex(({ version }) => version === 10)
        for (const { stream_id, version } of bad === -1 ? events : events.slice(0, bad)) {
          seen.set(stream_id, [...(seen.get(stream_id) ?? []), version])
        }
        const at10 = events[bad]
        if (at10 === undefined) {
          t.equal((await call(at, 'POST', '/consumers/c/ack', { token })).status, 200)
          continue
        }
        if (bad > 0) await call(at, 'POST', '/consumers/c/ack', { token, position: at10.position - 1 })
        const isFirst = attempts[bad] === 1
        const nack = { token, position: at10.position, reason: 'ten', ...(isFirst && { delay_seconds: 0 }) }
        const action = isFirst ? 'retry' : 'park'
        t.equal((await call(at, 'POST', '/consumers/c/nack', { ...nack, action })).status, 200)
        if (isFirst) continue
        parked++
        // The rest of the lease comes back at once, untried.
        await call(at, 'POST', '/consumers/c/nack', { token, action: 'retry', position: 1, delay_seconds: 0 })
      }
    }
    await Promise.all([work(service, 'a'), work(other, 'b')])
    t.equal(parked, 10)
    const others = Array.from({ length: 20 }, (_, i) => i + 1).filter((version) => version !== 10)
    for (let i = 0; i < 10; i++) t.same(seen.get(`c-${i}`), others)
    const { body } = await call(other, 'GET', '/consumers/c')
    t.match(body, { lag_events: 0, in_flight: 0, parked: 10, replaying: 0 })
    t.same((await call(service, 'POST', '/consumers/c/parked/replay', {})).body, { replaying: 10 })
    for (let left = 10; left > 0; ) {
      const lease = await call(other, 'POST', '/consumers/c/claim', { member: 'b', wait: 5 })
      left -= (lease.body['events'] as Event[]).length
      t.equal((await call(service, 'POST', '/consumers/c/ack', { token: lease.body['token'] })).status, 200)
    }
    t.match((await call(service, 'GET', '/consumers/c')).body, { parked: 0, lag_events: 0 })
    for (const [method, path, body] of [
      ['POST', 'pause'],
      ['POST', 'resume'],
      ['POST', 'reset', { position: 0 }],
    ] as const) {
      t.equal((await call(service, method, `/consumers/c/${path}`, body)).status, 200, path)
    }
    const simple = (await call(service, 'GET', '/consumers/c/events?limit=5')).body as { position: number }
    t.match((await call(service, 'POST', '/consumers/c/ack', { position: simple.position })).body, {
      checkpoint: simple.position,
    })
    t.equal((await call(service, 'DELETE', '/consumers/c')).status, 204)
  })

  t.test('snapshots are kept', async (t) => {
    await append(service, 'snapped', 150)
    const put = (at: Service, version: number) =>
      call(at, 'PUT', '/streams/snapped/snapshot', { version, state: { version } })
    t.same([(await put(service, 40)).status, (await put(other, 40)).status], [201, 200])
    t.match((await put(other, 151)).body, { code: 'snapshot_ahead' })
    t.match((await put(service, 39)).body, { code: 'snapshot_older' })
    const coverage = (await call(other, 'GET', '/snapshots/coverage')).body as { streams: object[] }
    t.match(coverage.streams, [{ stream_id: 'snapped', events_since_snapshot: 110 }])
    const state = (await call(service, 'GET', '/streams/snapped/state')).body as { events: object[] }
    t.match(state, { version: 150, snapshot: { version: 40, state: { version: 40 } } })
    t.equal(state.events.length, 110)
    t.equal((await call(service, 'DELETE', '/streams/snapped/snapshot')).status, 204)
  })

  t.test('no prepared statement is left on any connection of the server', async (t) => {
    t.same(await preparedStatements(bouncer), [])
  })
})

/** Of every server connection: a transaction on each of them is open while they are asked. */
async function preparedStatements({ url }: PgBouncer): Promise<unknown[]> {
  const clients = Array.from({ length: SIZE }, () => new pg.Client(url))
  for (const client of clients) {
    await client.connect()
    await client.query('BEGIN')
  }
  const found: unknown[] = []
  const backends = new Set<unknown>()
  for (const client of clients) {
    backends.add((await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid)
    found.push(...(await client.query(`SELECT name, statement FROM pg_prepared_statements WHERE name <> ''`)).rows)
  }
  for (const client of clients) await client.end()
  if (backends.size !== SIZE) throw new Error(`${backends.size} of ${SIZE} connections were asked`)
  return found
}
