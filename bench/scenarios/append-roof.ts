import { FIRST_SERIAL } from '../harness/events.ts'
import { runLoad } from '../harness/load.ts'
import { openPeer } from '../harness/peer.ts'
import { type Bench, interleave, type Outcome, type Scenario } from '../harness/scenario.ts'
import { openStore, RANDOM_STREAMS } from '../harness/store.ts'

export const appendRoof: Scenario = {
  name: 'append-roof',
  about: 'One event a request at 256 connections, beside a Fastify route with the same body and no database.',
  async run(bench: Bench): Promise<Outcome> {
    const store = await openStore(bench)
    const roof = await openPeer(bench, 'roof.ts', [])
    const rounds = await interleave(bench, {
      Annals: (seconds) => store.append(seconds, 256),
      'without a database': async (seconds) => {
        const work = {
          kind: 'append',
          eventsPerRequest: 1,
          streams: RANDOM_STREAMS,
          firstSerial: FIRST_SERIAL,
        } as const
        let node = 0
        const load = await runLoad({ port: roof.port, connections: 256, warmUpSeconds: 0.5, seconds, work }, () => {
          node = roof.processorSeconds()
        })
        node = roof.processorSeconds() - node
        return {
          per_second: load.answers / load.seconds,
          p50_ms: load.p50Ms,
          node_us: (node / load.answers) * 1e6,
          generator_cores: load.generatorCores,
        }
      },
    })
    await store.check()
    return {
      rounds,
      bars: [
        {
          what: 'appends/s, 256 connections',
          against: 'the POST route without a database',
          reached: rounds.ratio('Annals', 'per_second', 'without a database'),
          ...{ unit: '×', atLeast: 0.55, aim: 0.65 },
        },
      ],
      notes: [],
    }
  },
}
