import { dataOf, EVENT_TYPE, FIRST_SERIAL } from '../harness/events.ts'
import { filledStreams, fillStore } from '../harness/fill.ts'
import type { Work } from '../harness/load.ts'
import { type Bench, interleave, type Leg, type Outcome, type Scenario } from '../harness/scenario.ts'
import { openStore, type Store } from '../harness/store.ts'

const REPLAYED = '0190c6f2-5d3a-7cc1-9a55-3d1d2f1c0a11'
const READS = ['page at the end', 'GET /streams/{id}', 'GET /health', 'replayed append']
/** Short, because the appends themselves make the small store grow. */
const APPEND_SECONDS = 1.5
const READ_SECONDS = 1.5

export const growth: Scenario = {
  name: 'growth',
  about: 'A store of 10 million events, made by SQL, beside one of 100,000.',
  isLong: true,
  async run(bench: Bench): Promise<Outcome> {
    const sizes = bench.isQuick ? { small: 10_000, large: 100_000 } : { small: 100_000, large: 10_000_000 }
    const stores: [string, Store, number][] = []
    for (const events of [sizes.small, sizes.large]) {
      const store = await openStore(bench)
      await fillStore(store, events)
      bench.say(`filled a store with ${events} events`)
      await appendReplayed(store)
      stores.push([events.toLocaleString('en'), store, events])
    }
    const [[small], [large]] = stores as [[string, Store, number], [string, Store, number]]
    const legs: Record<string, Leg> = {}
    // All that reads comes before what makes the stores grow.
    for (const read of READS)
      for (const [name, store, events] of stores) legs[`${read}, ${name}`] = readLeg(store, read, events)
    const reads = await interleave(bench, legs)
    const appends = await interleave(
      bench,
      Object.fromEntries(
        stores.map(([name, store, events]): [string, Leg] => [
          `appends, ${name}`,
          (seconds) => store.append(Math.min(seconds, APPEND_SECONDS), 64, { streams: filledStreams(events) }),
        ]),
      ),
    )
    for (const [, store] of stores) await store.check()
    const rounds = reads.and(appends)
    return {
      rounds,
      bars: [
        {
          what: `appends/s with ${large} events, 64 connections`,
          against: `with ${small}`,
          reached: rounds.ratio(`appends, ${large}`, 'per_second', `appends, ${small}`),
          ...{ unit: '×', atLeast: 0.85, aim: 0.95 },
        },
        ...READS.map((read) => ({
          what: `${read} with ${large} events, p50`,
          against: `with ${small}`,
          reached: rounds.ratio(`${read}, ${large}`, 'p50_ms', `${read}, ${small}`),
          ...({ unit: '×', atMost: 1.5 } as const),
        })),
      ],
      notes: [
        'Appends go to streams that are there already, chosen at random; they make the small store several times larger in the course of the rounds.',
      ],
    }
  },
}

function readLeg(store: Store, read: string, events: number): Leg {
  const streams = filledStreams(events)
  const randomStreams = Array.from({ length: 10_000 }, () => `/streams/order-${Math.floor(Math.random() * streams)}`)
  const works: Record<string, Work> = {
    'page at the end': { kind: 'get', paths: [`/events?after=${events - 1_000}&limit=1000`] },
    'GET /streams/{id}': { kind: 'get', paths: randomStreams },
    'GET /health': { kind: 'get', paths: ['/health'] },
    'replayed append': { kind: 'replay', streamId: 'replayed', body: replayedBody },
  }
  return async (seconds) => {
    const work = works[read] as Work
    const { per_second = 0, p50_ms = 0 } = await store.load({
      ...{ connections: 1, seconds: Math.min(seconds, READ_SECONDS), work },
    })
    return { per_second, p50_ms }
  }
}

const replayedBody = `{"events":[{"id":"${REPLAYED}","type":"${EVENT_TYPE}","data":${dataOf(FIRST_SERIAL)}}]}`

async function appendReplayed(store: Store): Promise<void> {
  const response = await fetch(`${store.service.url}/streams/replayed/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: replayedBody,
  })
  if (response.status !== 201) throw new Error(`the first append was answered ${response.status}`)
  store.otherEvents++
}
