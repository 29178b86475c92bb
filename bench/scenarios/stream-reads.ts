import { fillStreams } from '../harness/fill.ts'
import { runLoad } from '../harness/load.ts'
import { openPeer } from '../harness/peer.ts'
import { type Bench, interleave, type Leg, type Outcome, type Scenario } from '../harness/scenario.ts'
import { openStore } from '../harness/store.ts'

const CONNECTIONS = 16
/** Length of the streams, how many there are, and the bar and aim for each length. */
const SIZES = [
  { length: 10, streams: 2_000, atLeast: 1.8 },
  { length: 100, streams: 1_000, atLeast: 2.2 },
  { length: 1_000, streams: 200, atLeast: 2.5 },
]

export const streamReads: Scenario = {
  name: 'stream-reads',
  about: 'JSON reads of streams of 10, 100 and 1,000 events, beside a plain Fastify handler that returns rows.',
  async run(bench: Bench): Promise<Outcome> {
    const store = await openStore(bench)
    for (const { length, streams } of SIZES) await fillStreams(store, `of-${length}`, streams, length)
    const plain = await openPeer(bench, 'plain-reader.ts', [store.databaseUrl])
    const legs: Record<string, Leg> = {}
    for (const { length, streams } of SIZES) {
      const paths = Array.from({ length: streams }, (_, k) => `/streams/of-${length}-${k}/events?limit=1000`)
      const work = { kind: 'get', paths } as const
      const read =
        (port: number): Leg =>
        async (seconds) => {
          const load = await runLoad({ port, connections: CONNECTIONS, warmUpSeconds: 0.5, seconds, work })
          const reads = load.answers / load.seconds
          const { p50Ms, p99Ms, generatorCores } = load
          return { per_second: reads * length, reads, p50_ms: p50Ms, p99_ms: p99Ms, generator_cores: generatorCores }
        }
      legs[`Annals, ${length} events`] = read(store.service.port)
      legs[`plain handler, ${length} events`] = read(plain.port)
    }
    const rounds = await interleave(bench, legs)
    await store.check()
    return {
      rounds,
      bars: SIZES.map(({ length, atLeast }) => ({
        what: `JSON reads of streams of ${length} events, ${CONNECTIONS} connections`,
        against: 'a plain Fastify handler that selects the rows by `pg` and returns them as objects',
        reached: rounds.ratio(`Annals, ${length} events`, 'per_second', `plain handler, ${length} events`),
        ...{ unit: '×', atLeast },
      })),
      notes: ['The plain handler uses a prepared statement and a pool as large as that of the service.'],
    }
  },
}
