import { type Bench, interleave, type Outcome, type Scenario } from '../harness/scenario.ts'
import { temporaryFolder } from '../harness/server.ts'
import { startService } from '../harness/service.ts'

export const start: Scenario = {
  name: 'start',
  about: 'From the start of the process to ready, with the embedded PostgreSQL: a new data folder, an existing one.',
  async run(bench: Bench): Promise<Outcome> {
    let folder = ''
    const startOnce = async () => {
      const service = await startService(bench.closers, bench.program, { DATA_DIR: folder })
      await service.stop()
      return { seconds: service.startSeconds }
    }
    const rounds = await interleave(bench, {
      'new database': () => {
        folder = temporaryFolder(bench.closers)
        return startOnce()
      },
      'existing database': startOnce,
    })
    return {
      rounds,
      bars: [
        {
          what: 'process start to ready, existing embedded database',
          against: '–',
          reached: rounds.spread('existing database', 'seconds'),
          ...{ unit: 's', atMost: 1 },
        },
        {
          what: 'process start to ready, new embedded database',
          against: '–',
          reached: rounds.spread('new database', 'seconds'),
          ...{ unit: 's', atMost: 3 },
        },
      ],
      notes: [],
    }
  },
}
