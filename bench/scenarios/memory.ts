import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fillStore } from '../harness/fill.ts'
import { type Bench, interleave, type Outcome, type Scenario } from '../harness/scenario.ts'
import { type RunningService, startService } from '../harness/service.ts'
import type { Figures } from '../harness/statistics.ts'
import { openStore, type Store } from '../harness/store.ts'
import { readFeed } from './feed.ts'

const MB = 1_000_000
const APPENDS_PER_SECOND = 10_000
const STALLED_READERS = 50
const SAMPLE_MS = 50
const SETTLE_MS = 3_000
/** Longer than the feed takes, so that both are under way to the end. */
const APPENDING_SECONDS = 10

export const memory: Scenario = {
  name: 'memory',
  about: 'Resident memory while 1 million events are streamed and 10,000 appends/s taken; and of stalled readers.',
  async run(bench: Bench): Promise<Outcome> {
    const store = await openStore(bench)
    const { service } = store
    await fillStore(store, bench.isQuick ? 100_000 : 1_000_000)
    const rounds = await interleave(bench, {
      'streaming and appending': async (seconds) => {
        const load = store.load({
          connections: 64,
          seconds: bench.isQuick ? seconds : APPENDING_SECONDS,
          ratePerSecond: APPENDS_PER_SECOND,
          work: store.appends(),
        })
        const largest = largestUntil(service, Promise.all([load, readFeed(service.port)]))
        const { per_second = Number.NaN } = await load
        return { rss_mb: (await largest) / MB, per_second }
      },
      'stalled readers': () => stalledReaders(bench, store),
    })
    await store.check()
    return {
      rounds,
      bars: [
        {
          what: 'resident memory, 1 million events to one reader and 10,000 appends/s',
          against: '–',
          reached: rounds.spread('streaming and appending', 'rss_mb'),
          ...{ unit: 'MB', atMost: 250 },
        },
        {
          what: 'memory of a reader that stops reading',
          against: '–',
          reached: rounds.spread('stalled readers', 'mb_per_reader'),
          ...{ unit: 'MB', atMost: 4 },
        },
      ],
      notes: [
        `Stalled readers: growth of the process by ${STALLED_READERS} of them at a time, divided by their number.`,
      ],
    }
  },
}

/** In a new process each time: one that has been busy has memory to spare, which would hide what the readers take. */
async function stalledReaders(bench: Bench, store: Store): Promise<Figures> {
  const service = await startService(bench.closers, bench.program, { DATABASE_URL: store.databaseUrl })
  await readFeed(service.port)
  await sleep(SETTLE_MS)
  const before = service.residentBytes()
  const sockets = await Promise.all(Array.from({ length: STALLED_READERS }, () => openStalledReader(service)))
  await sleep(SETTLE_MS)
  const after = service.residentBytes()
  for (const socket of sockets) socket.destroy()
  await service.stop()
  return { mb_per_reader: (after - before) / MB / STALLED_READERS }
}

async function largestUntil(service: RunningService, done: Promise<unknown>): Promise<number> {
  let isDone = false
  void done.finally(() => {
    isDone = true
  })
  let largest = 0
  while (!isDone) {
    largest = Math.max(largest, service.residentBytes())
    await sleep(SAMPLE_MS)
  }
  return largest
}

/** A reader of the whole feed that takes the first bytes and no more. */
function openStalledReader(service: RunningService): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: service.port })
    socket.once('error', reject)
    socket.once('data', () => {
      socket.pause()
      resolve(socket)
    })
    socket.write('GET /events HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/x-ndjson\r\n\r\n')
  })
}
