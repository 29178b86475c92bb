import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { dataOf, EVENT_TYPE } from '../harness/events.ts'
import { type Bench, interleave, type Outcome, type Scenario } from '../harness/scenario.ts'
import { type RunningService, startService } from '../harness/service.ts'
import type { Figures } from '../harness/statistics.ts'
import { openStore, type Store } from '../harness/store.ts'

const RATE_PER_SECOND = 1_000
const PROBE_PAUSE_MS = 10
const IDLE_FOLLOWERS = 1_000

export const delivery: Scenario = {
  name: 'delivery',
  about: `From sending an append to its arrival at a follower, under ${RATE_PER_SECOND} appends a second; and what idle followers cost.`,
  async run(bench: Bench): Promise<Outcome> {
    const store = await openStore(bench)
    const second = await startService(bench.closers, bench.program, { DATABASE_URL: store.databaseUrl })
    const idle = bench.isQuick ? 50 : IDLE_FOLLOWERS
    const rounds = await interleave(bench, {
      'one process': (seconds) => probe(store, store.service, seconds),
      'another process': (seconds) => probe(store, second, seconds),
      '1 idle follower': (seconds) => transactions(store, 1, seconds),
      'many idle followers': (seconds) => transactions(store, idle, seconds),
    })
    await store.check()
    return {
      rounds,
      bars: [
        {
          what: 'delivery to a follower in the same process, p99',
          against: 'the moment of sending, so the commit is part of it',
          reached: rounds.spread('one process', 'p99_ms'),
          ...{ unit: 'ms', atMost: 20 },
        },
        {
          what: 'delivery to a follower in another process, p99',
          against: 'the moment of sending, so the commit is part of it',
          reached: rounds.spread('another process', 'p99_ms'),
          ...{ unit: 'ms', atMost: 100 },
        },
      ],
      notes: [`Idle followers: 1 and ${idle}; transactions of the database a second, probes and statistics included.`],
    }
  },
}

/** Follows the feed from its head; `arrived` is called with each event. */
function follow(service: RunningService, arrived: (data: string) => void): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const path = '/events?limit=1&direction=backward'
    request({ port: service.port, host: '127.0.0.1', path }, (page) => {
      let text = ''
      page.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      page.on('end', () => {
        const { head } = JSON.parse(text) as { head: number }
        const headers = { accept: 'text/event-stream', 'last-event-id': String(head) }
        const live = request({ port: service.port, host: '127.0.0.1', path: '/events', headers }, (response) => {
          response.setEncoding('utf8').on('data', arrived)
          response.on('error', () => {})
          resolve(() => live.destroy())
        })
        live.on('error', reject).end()
      })
    })
      .on('error', reject)
      .end()
  })
}

async function probe(store: Store, follower: RunningService, seconds: number): Promise<Figures> {
  const sentAt = new Map<string, number>()
  const times: number[] = []
  const stop = await follow(follower, (chunk) => {
    const now = performance.now()
    for (const [serial, at] of sentAt) {
      if (!chunk.includes(serial)) continue
      times.push(now - at)
      sentAt.delete(serial)
    }
  })
  const load = store.load({ connections: 16, seconds, ratePerSecond: RATE_PER_SECOND, work: store.appends() })
  const endAt = performance.now() + (seconds + 0.5) * 1000
  let serial = store.nextSerial()
  let sent = 0
  while (performance.now() < endAt) {
    const data = dataOf(serial)
    sentAt.set(String(serial++), performance.now())
    const response = await fetch(`http://127.0.0.1:${store.service.port}/streams/probe/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"events":[{"type":"${EVENT_TYPE}","data":${data}}]}`,
    })
    await response.arrayBuffer()
    if (response.status !== 201) throw new Error(`a probe was answered ${response.status}`)
    sent++
    await sleep(PROBE_PAUSE_MS)
  }
  const { per_second: perSecond } = await load
  store.otherEvents += sent
  for (let tries = 0; sentAt.size > 0 && tries < 200; tries++) await sleep(10)
  stop()
  if (sentAt.size > 0) throw new Error(`${sentAt.size} probes never arrived`)
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] as number
  return { p50_ms: at(0.5), p99_ms: at(0.99), probes: times.length, appends_per_second: perSecond ?? Number.NaN }
}

async function transactions(store: Store, followers: number, seconds: number): Promise<Figures> {
  const stops = await Promise.all(Array.from({ length: followers }, () => follow(store.service, () => {})))
  // The server counts what a connection did up to a second later.
  await sleep(3_000)
  const commits = async () => {
    await store.client.query('SELECT pg_stat_clear_snapshot()')
    const { rows } = await store.client.query<{ n: string }>(
      'SELECT xact_commit AS n FROM pg_stat_database WHERE datname = current_database()',
    )
    return Number(rows[0]?.n)
  }
  const before = await commits()
  await sleep(seconds * 1000)
  const perSecond = ((await commits()) - before) / seconds
  for (const stop of stops) stop()
  return { transactions_per_second: perSecond }
}
