// The fault bench in short, with seeds that stay the same. The long one is `npm run faults`.

import { setImmediate as nextRound, setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { isPgBouncerAbsent } from '../support/pgbouncer.ts'
import { startTestCluster } from '../support/postgres.ts'
import { runBench } from './bench.ts'
import { FaultProxy } from './fault-proxy.ts'
import { SERVICE } from './prove.ts'
import type { Scenario } from './schedule.ts'

const RUNS: [Scenario, number][] = [
  ['network', 11],
  ['replies', 22],
  ['server', 33],
  ['refusals', 67],
  ['pooler', 59],
]

for (const [scenario, seed] of RUNS) {
  const skip = scenario === 'pooler' && isPgBouncerAbsent
  t.test(`many clients see every promise kept through faults of ${scenario}`, { skip }, async (t) => {
    const options = {
      seed,
      scenario,
      seconds: 6,
      isApart: false,
      longestMs: 1_000,
      env: SERVICE,
      log: (line: string) => t.comment(line),
    }
    const { verdict, faults } = await runBench(t, options)
    t.ok(faults > 0, `${faults} faults`)
    t.ok(verdict.counts.ok > 0, JSON.stringify(verdict.counts))
    t.same(verdict.findings, [], `to repeat it: npm run faults -- --seed ${seed} --scenario ${scenario}`)
  })
}

t.test('behind what a network has swallowed nothing arrives on the same connection', async (t) => {
  const cluster = await startTestCluster(t)
  const proxy = await FaultProxy.start(t, cluster.url)
  const config: pg.ClientConfig & { pipeline: boolean } = { connectionString: proxy.url, pipeline: true }
  const client = new pg.Client(config)
  client.on('error', () => {})
  await client.connect()
  const ask = (text: string) => client.query(text).then(({ rows }) => rows, String)
  t.same(await ask('SELECT 0 AS n'), [{ n: 0 }])
  proxy.blackHole('to_server', true)
  const answers = [ask('SELECT 1 AS n')]
  await sleep(50)
  // However long this process stood still, the proxy has read it by then.
  await nextRound()
  await proxy.heal()
  answers.push(ask('SELECT 2 AS n'))
  t.equal(await Promise.race([...answers, sleep(300, 'no answer')]), 'no answer')
  proxy.cut()
  for (const answer of answers) t.type(await answer, 'string', 'an error')
})
