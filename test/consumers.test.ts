// Consumers while PostgreSQL restarts.

import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { runMigrations } from '../src/db/migrations/migrator.ts'
import { startTestCluster } from './support/postgres.ts'
import { ask, startTestService, until } from './support/service.ts'

interface Event {
  position: number
  stream_id: string
  version: number
}

const EVENTS = 10_000
const STREAMS = 50

t.test('ten thousand events pass four members in order while PostgreSQL is killed and stopped', async (t) => {
  const cluster = await startTestCluster(t)
  await runMigrations(cluster.url)
  const service = await startTestService(t, { DATABASE_URL: cluster.url, LOG_LEVEL: 'silent' })
  await service.ready
  const call = (method: string, path: string, body: object) =>
    ask(service.url + path, {
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  t.equal((await call('PUT', '/consumers/all', { partitions: 16, lease_seconds: 3 })).status, 201)
  // In rounds over all streams, a part before and a part while members work.
  const append = async (count: number) => {
    for (let i = 0; i < count / (STREAMS * 10); i++) {
      const events = Array.from({ length: 10 }, () => ({ type: 'E' }))
      const appends = Array.from({ length: STREAMS }, (_, stream) => ({ stream_id: `s-${stream}`, events }))
      const { status } = await call('POST', '/events', { appends })
      if (status !== 201) throw new Error(`append answered ${status}`)
    }
  }
  await append(EVENTS / 2)

  const reached = new Map<string, number>()
  const acknowledged = new Set<number>()
  const seen = new Set<number>()
  const wrong: string[] = []
  const statuses = new Map<string, number>()
  let isOver = false
  const take = ({ position, stream_id, version }: Event) => {
    const before = reached.get(stream_id) ?? 0
    if (version > before + 1) wrong.push(`${stream_id} went from ${before} to ${version}`)
    if (acknowledged.has(position)) wrong.push(`${position} came again`)
    reached.set(stream_id, Math.max(before, version))
    seen.add(position)
  }
  // Whether an outage meets a claim or an acknowledgement is chance.
  const outages = () => statuses.get('503 database_unavailable') ?? 0
  const counted = async (path: string, body: object) => {
    const answer = await call('POST', path, body)
    const what = `${answer.status} ${String(answer.body['code'] ?? '')}`
    statuses.set(what, (statuses.get(what) ?? 0) + 1)
    return answer
  }
  const work = async (member: string) => {
    while (!isOver) {
      const lease = await counted('/consumers/all/claim', { member, limit: 50, wait: 1 })
      const events = (lease.body['events'] ?? []) as Event[]
      if (lease.status !== 200) await sleep(50)
      if (events.length === 0) continue
      for (const event of events) take(event)
      for (;;) {
        const { status } = await counted('/consumers/all/ack', { token: lease.body['token'] as string })
        if (status === 200) for (const { position } of events) acknowledged.add(position)
        if (status !== 503 && status !== 0) break
        await sleep(50)
      }
    }
  }
  const working = Promise.all(['a', 'b', 'c', 'd'].map(work))
  // The outage lasts until the members have met it.
  const restart = async (end: () => Promise<void>) => {
    const before = outages()
    await end()
    await until(() => outages() > before)
    await cluster.start()
  }
  await until(() => seen.size > 0)
  await restart(() => cluster.kill())
  for (let isThere = false; !isThere; ) {
    isThere =
      (await call('POST', '/events', { appends: [{ stream_id: 'last', events: [{ type: 'E' }] }] })).status === 201
    if (!isThere) await sleep(50)
  }
  await append(EVENTS / 2)
  await restart(() => cluster.stop())
  const consumer = async () => (await ask(`${service.url}/consumers/all`)).body
  const deadline = performance.now() + 90_000
  for (let body = await consumer(); performance.now() < deadline; body = await consumer()) {
    t.ok(((body['checkpoint'] as number | undefined) ?? 0) <= ((body['head'] as number | undefined) ?? 0))
    if (body['head'] !== undefined && body['checkpoint'] === body['head']) break
    await sleep(100)
  }
  isOver = true
  await working
  t.same(wrong, [])
  t.equal(seen.size, EVENTS + 1)
  for (let stream = 0; stream < STREAMS; stream++) t.equal(reached.get(`s-${stream}`), EVENTS / STREAMS)
  t.match(await consumer(), { checkpoint: EVENTS + 1, head: EVENTS + 1, in_flight: 0, parked: 0 })
  t.ok(outages() >= 2, `they met both outages: ${JSON.stringify([...statuses])}`)
})
