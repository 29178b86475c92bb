// The fault bench in short, with seeds that stay the same. The long one is `npm run faults`.

import t from 'tap'
import { isPgBouncerAbsent } from '../support/pgbouncer.ts'
import { runBench } from './bench.ts'
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
