import { type Bench, interleave, type Outcome, type Scenario } from '../harness/scenario.ts'
import { startService } from '../harness/service.ts'
import { openStore } from '../harness/store.ts'

export const twoProcesses: Scenario = {
  name: 'two-processes',
  about: 'Two service processes on one database, 32 connections each, beside one process with 64.',
  async run(bench: Bench): Promise<Outcome> {
    const store = await openStore(bench)
    const second = await startService(bench.closers, bench.program, { DATABASE_URL: store.databaseUrl })
    const rounds = await interleave(bench, {
      'one process': (seconds) => store.append(seconds, 64),
      'two processes': (seconds) =>
        store.load({ connections: 64, seconds, work: store.appends() }, [store.service, second]),
    })
    await store.check()
    const { rows } = await store.client.query<{ deadlocks: string }>(
      'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
    )
    const deadlocks = Number(rows[0]?.deadlocks)
    if (deadlocks > 0) throw new Error(`${deadlocks} deadlocks with two processes`)
    return {
      rounds,
      bars: [
        {
          what: '2 service processes on one database, appends/s in total',
          against: '1 process',
          reached: rounds.ratio('two processes', 'per_second', 'one process'),
          ...{ unit: '×', atLeast: 0.85 },
        },
      ],
      notes: ['Order kept and no deadlock, by the check at the end and by `pg_stat_database`.'],
    }
  },
}
