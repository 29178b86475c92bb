import { type Bench, interleave, type Outcome, type Scenario } from '../harness/scenario.ts'
import { openStore } from '../harness/store.ts'

export const hotStream: Scenario = {
  name: 'hot-stream',
  about: '64 writers without a condition on one stream, beside the same on random streams.',
  async run(bench: Bench): Promise<Outcome> {
    const store = await openStore(bench)
    const rounds = await interleave(bench, {
      'random streams': (seconds) => store.append(seconds, 64),
      'one stream': (seconds) => store.append(seconds, 64, { streams: 1 }),
    })
    await store.check()
    return {
      rounds,
      bars: [
        {
          what: 'one hot stream, 64 writers with "any"',
          against: '64 writers on random streams',
          reached: rounds.ratio('one stream', 'per_second', 'random streams'),
          ...{ unit: '×', atLeast: 0.8 },
        },
      ],
      notes: [],
    }
  },
}
