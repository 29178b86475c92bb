import { type Bench, interleave, type Outcome, type Scenario } from '../harness/scenario.ts'
import { openStore } from '../harness/store.ts'

export const conflictStorm: Scenario = {
  name: 'conflict-storm',
  about: '64 writers with exact versions on 4 streams; every answer is checked, most are conflicts.',
  async run(bench: Bench): Promise<Outcome> {
    const store = await openStore(bench)
    const streams = ['storm-1', 'storm-2', 'storm-3', 'storm-4']
    const rounds = await interleave(bench, {
      'random streams': (seconds) => store.append(seconds, 64),
      'exact versions on 4 streams': (seconds) =>
        store.load({ connections: 64, seconds, work: { kind: 'storm', streams, firstSerial: store.nextSerial() } }),
    })
    await store.check()
    return {
      rounds,
      bars: [
        {
          what: 'conflict storm, answers/s, every answer right',
          against: 'the random-stream run',
          reached: rounds.ratio('exact versions on 4 streams', 'per_second', 'random streams'),
          ...{ unit: '×', atLeast: 0.7 },
        },
      ],
      notes: [],
    }
  },
}
