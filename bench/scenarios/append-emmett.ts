import type { EmmettTask } from '../children/emmett.ts'
import { runTask } from '../harness/child.ts'
import { install, peerVersion } from '../harness/peer-packages.ts'
import { type Bench, interleave, type Leg, type Outcome, type Scenario } from '../harness/scenario.ts'
import type { Figures } from '../harness/statistics.ts'
import { openStore, RANDOM_STREAMS } from '../harness/store.ts'

const CONCURRENCY = 64

export const appendEmmett: Scenario = {
  name: 'append-emmett',
  about: 'One event a request at 64 connections, beside 64 concurrent appends by emmett in its own process.',
  async run(bench: Bench): Promise<Outcome> {
    install()
    const store = await openStore(bench)
    const databaseUrl = await bench.server.createDatabase(bench.closers)
    const emmett =
      (connections: number): Leg =>
      (seconds) =>
        runTask<EmmettTask, Figures>(
          'emmett.ts',
          { databaseUrl, seconds, concurrency: CONCURRENCY, connections, streams: RANDOM_STREAMS },
          seconds + 60,
        )
    const rounds = await interleave(bench, {
      Annals: (seconds) => store.append(seconds, CONCURRENCY),
      'emmett, 10 connections': emmett(10),
      'emmett, 64 connections': emmett(64),
    })
    await store.check()
    const peer = rounds.best(['emmett, 10 connections', 'emmett, 64 connections'], 'per_second')
    return {
      rounds,
      bars: [
        {
          what: 'appends/s, 64 connections',
          against: `${peer} (emmett-postgresql ${peerVersion('@event-driven-io/emmett-postgresql')}, no HTTP)`,
          reached: rounds.ratio('Annals', 'per_second', peer),
          ...{ unit: '×', atLeast: 5, aim: 7 },
        },
      ],
      notes: [],
    }
  },
}
