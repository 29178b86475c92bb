// The benchmark itself: that it runs, that its results have the shape they are written from, and that its check of a
// store bites. Nothing here looks at how fast anything is.

import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { type Acknowledged, checkStore } from '../bench/harness/check-store.ts'
import { dataSql, FIRST_SERIAL } from '../bench/harness/events.ts'
import { markdown, type Result, resultOf } from '../bench/harness/results.ts'
import { Rounds, spreadOf } from '../bench/harness/statistics.ts'
import { runMigrations } from '../src/db/migrations/migrator.ts'
import { createTestDatabase } from './support/postgres.ts'

const ROOT = resolve(import.meta.dirname, '..')

function bench(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const env = { ...process.env }
  // It starts a server of its own, as the one of the tests runs without fsync.
  delete env['DATABASE_URL']
  const child = spawn(process.execPath, ['--import', 'tsx', join(ROOT, 'bench/run.ts'), ...args], { cwd: ROOT, env })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  }
  return new Promise((done) => child.once('close', (code) => done({ code, ...output })))
}

t.test('a quick run measures both sides, checks the store, and keeps nothing', async (t) => {
  const page = join(ROOT, 'bench/results.md')
  const kept = () => (existsSync(page) ? readFileSync(page, 'utf8') : '')
  const before = kept()
  const { code, stdout, stderr } = await bench(
    ...['hot-stream', '--quick', '--seconds', '0.5', '--json', '--service', join(ROOT, 'src/main.ts')],
  )
  t.equal(code, 0, stderr)
  t.match(stderr, /checked: \d+ events, contiguous, each where its acknowledgement said/)
  const [result, ...others] = JSON.parse(stdout) as Result[]
  t.same(others, [])
  t.match(result, {
    name: 'hot-stream',
    rounds: 1,
    machine: { node: process.versions.node, postgresql: /^\d+\.\d+$/, postgresqlSettings: /fsync=on/ },
    bars: [{ what: String, against: String, reached: { median: Number }, unit: '×', atLeast: 0.8 }],
    figures: {
      'random streams': { per_second: { median: Number }, p50_ms: { median: Number }, p99_ms: { median: Number } },
      'one stream': { per_second: { median: Number } },
    },
  })
  t.ok((result?.figures['one stream']?.['per_second']?.median ?? 0) > 0)
  t.equal(kept(), before, 'a quick run does not touch the results')
})

t.test('a scenario that does not exist is refused with the list of those that do', async (t) => {
  const { code, stderr } = await bench('hot-steam')
  t.equal(code, 2)
  t.match(stderr, /there is no scenario hot-steam/)
  t.match(stderr, /hot-stream +64 writers/)
})

t.test('the check of a store finds what was lost, moved, doubled or came from nowhere', async (t) => {
  const { url } = await createTestDatabase(t)
  await runMigrations(url)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  await client.query('SET annals.allow_rewrite = on')
  const acknowledged: Acknowledged[] = [
    {
      positions: Float64Array.of(1, 3, 5),
      serials: Float64Array.of(FIRST_SERIAL, FIRST_SERIAL + 2, FIRST_SERIAL + 4),
      eventsPerRequest: 2,
    },
  ]
  // Six events in two streams, by the trigger that numbers the rows of plain writers.
  await client.query(
    `INSERT INTO events (stream_id, version, event_type, event_data, is_json)
     SELECT 's-' || i % 2, i / 2 + 1, 'A', ${dataSql(`(${FIRST_SERIAL} + i)`)}, true FROM generate_series(0, 5) AS i`,
  )
  t.equal(await checkStore(client, acknowledged, 0), 6)

  const damages: [string, RegExp][] = [
    ['DELETE FROM events WHERE position = 4', /not contiguous/],
    ['UPDATE annals_head SET position = 7', /not contiguous/],
    ['UPDATE events SET version = 9 WHERE position = 5', /not the next version/],
    [
      `UPDATE events SET event_data = ${dataSql(String(FIRST_SERIAL + 9))} WHERE position = 2`,
      /of 6 acknowledged events 5/,
    ],
  ]
  for (const [damage, message] of damages) {
    await client.query('BEGIN')
    await client.query(damage)
    await t.rejects(checkStore(client, acknowledged, 0), { message }, damage)
    await client.query('ROLLBACK')
  }
  const part = acknowledged.map((each) => ({
    ...each,
    positions: each.positions.slice(0, 2),
    serials: each.serials.slice(0, 2),
  }))
  await t.rejects(checkStore(client, part, 0), { message: /6 events are stored, but 4 were acknowledged/ })
  t.equal(await checkStore(client, part, 2), 6, 'events that came another way are known')
})

t.test('ratios are taken within a round, and what stands in the results is their median', async (t) => {
  const rounds = new Rounds({
    ours: [{ per_second: 10 }, { per_second: 40 }, { per_second: 30 }],
    peer: [{ per_second: 10 }, { per_second: 20 }, { per_second: 10 }],
  })
  t.same(rounds.ratio('ours', 'per_second', 'peer'), { median: 2, min: 1, max: 3 })
  t.same(spreadOf([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4 })
  t.equal(rounds.best(['peer', 'ours'], 'per_second'), 'ours')
})

t.test('the page of results says which bars are met and where the load generator took the machine', async (t) => {
  const machine = {
    ...{
      date: '2026-01-31 12:00',
      annals: '0.1.0',
      node: '20.20.2',
      postgresql: '18.4',
      postgresqlSettings: 'fsync=on',
    },
    ...{ kernel: 'Linux 6', processor: 'x', cores: 2, memory: '8 GiB' },
  }
  const bar = { against: 'a peer', reached: { median: 1.2, min: 1, max: 1.4 }, unit: '×' } as const
  const result = resultOf(
    { name: 'some', about: 'Some scenario.' },
    { machine, seconds: 4, othersCores: 0.5 },
    {
      rounds: new Rounds({ ours: [{ per_second: 12_345, generator_cores: 0.95 }], peer: [{ per_second: 10_000 }] }),
      bars: [
        { ...bar, what: 'first', atLeast: 1.15, aim: 1.3 },
        { ...bar, what: 'second', atMost: 1.1 },
      ],
      notes: [],
    },
  )
  const page = markdown([result])
  t.match(page, '| first | a peer | 1.20 (1.00 … 1.40) × | ≥ 1.15 × | ≥ 1.3 × | yes |')
  t.match(page, '| second | a peer | 1.20 (1.00 … 1.40) × | ≤ 1.1 × |  | **no** |')
  t.match(page, '| ours | 12,345 | 0.950 |')
  t.match(page, 'The load generator used 0.95 of a core in “ours” and was the limit')
  t.match(page, 'Meanwhile other work kept 0.500 cores busy.')
})
