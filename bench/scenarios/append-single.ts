import { byPg, openRawInsert } from '../harness/raw-insert.ts'
import { type Bench, interleave, type Outcome, type Scenario } from '../harness/scenario.ts'
import { openStore } from '../harness/store.ts'

/** As many rows as a batch of 64 connections has: what PostgreSQL takes for them without any promise. */
const TOGETHER = 'INSERT of 32 rows, 1 client'

export const appendSingle: Scenario = {
  name: 'append-single',
  about: 'One event a request at 1, 64 and 256 connections, beside raw INSERT transactions into the same table.',
  async run(bench: Bench): Promise<Outcome> {
    const store = await openStore(bench)
    const raw = await openRawInsert(bench, store.databaseUrl)
    const roundTrip = byPg(bench, store.databaseUrl)
    const rounds = await interleave(bench, {
      'Annals, 64 connections': (seconds) => store.append(seconds, 64),
      'INSERT, 32 clients': (seconds) => raw.insert(seconds, 32),
      'Annals, 256 connections': (seconds) => store.append(seconds, 256),
      'INSERT, 64 clients': (seconds) => raw.insert(seconds, 64),
      'Annals, 1 connection': (seconds) => store.append(seconds, 1),
      'INSERT by `pg`, 1 client': (seconds) => roundTrip.insert(seconds, 1),
      [TOGETHER]: (seconds) => raw.insert(seconds, 1, 32),
    })
    await store.check()
    const limit = rounds.best(['INSERT, 32 clients', 'INSERT, 64 clients'], 'per_second')
    const against = `${limit} (${raw.client})`
    return {
      rounds,
      bars: [
        {
          what: 'appends/s, 64 connections',
          against,
          reached: rounds.ratio('Annals, 64 connections', 'per_second', limit),
          ...{ unit: '×', atLeast: 1, aim: 1.15 },
        },
        {
          what: 'appends/s, 256 connections',
          against,
          reached: rounds.ratio('Annals, 256 connections', 'per_second', limit),
          ...{ unit: '×', atLeast: 1.15, aim: 1.3 },
        },
        {
          what: 'p50 at 1 connection',
          against: 'p50 of an INSERT by `pg`, 1 client',
          reached: rounds.ratio('Annals, 1 connection', 'p50_ms', 'INSERT by `pg`, 1 client'),
          ...{ unit: '×', atMost: 1.8, aim: 1.4 },
        },
        {
          what: 'p99 at 64 connections',
          against: 'its p50',
          reached: rounds.ratio('Annals, 64 connections', 'p99_ms', 'Annals, 64 connections', 'p50_ms'),
          ...{ unit: '×', atMost: 4, aim: 3 },
        },
        {
          what: 'CPU of Node per append, 64 connections',
          against: '–',
          reached: rounds.spread('Annals, 64 connections', 'node_us'),
          ...{ unit: 'µs', atMost: 32, aim: 24 },
        },
        {
          what: 'CPU of PostgreSQL per append, 64 connections',
          against: '–',
          reached: rounds.spread('Annals, 64 connections', 'postgres_us'),
          ...{ unit: 'µs', atMost: 15, aim: 10 },
        },
      ],
      notes: [
        `The raw INSERTs go to a copy of the store's table with all its indexes, in another schema of the same database. Those of 32 rows show what PostgreSQL takes for the rows of a batch of 64 connections without order, conditions or notification, all of one stream.`,
      ],
    }
  },
}
