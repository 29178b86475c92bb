import { openRawInsert } from '../harness/raw-insert.ts'
import { type Bench, interleave, type Outcome, type Scenario } from '../harness/scenario.ts'
import { openStore } from '../harness/store.ts'

const EVENTS = 100

export const appendBatch: Scenario = {
  name: 'append-batch-100',
  about: '100 events a request at 16 connections, beside INSERTs of 100 rows by 8 clients.',
  async run(bench: Bench): Promise<Outcome> {
    const store = await openStore(bench)
    const raw = await openRawInsert(bench, store.databaseUrl)
    const rounds = await interleave(bench, {
      'Annals, 16 connections': (seconds) => store.append(seconds, 16, { eventsPerRequest: EVENTS }),
      'INSERT of 100 rows, 8 clients': (seconds) => raw.insert(seconds, 8, EVENTS),
    })
    await store.check()
    return {
      rounds,
      bars: [
        {
          what: '100-event requests, events/s, 16 connections',
          against: `multi-row INSERT of 100, 8 clients (${raw.client})`,
          reached: rounds.ratio('Annals, 16 connections', 'per_second', 'INSERT of 100 rows, 8 clients'),
          ...{ unit: '×', atLeast: 0.45, aim: 0.6 },
        },
      ],
      notes: [],
    }
  },
}
