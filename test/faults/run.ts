// `npm run faults [-- --seed N --minutes M --scenario X]`: the fault bench, run after run with seeds that follow one
// another. Ends with 1 at the first run that breaks a promise, with the command that repeats it.

import { randomInt } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { History } from '../../src/proof/history.ts'
import { writeHistory } from '../../src/proof/history-file.ts'
import { describeVerdict } from '../../src/proof/report.ts'
import { type BenchResult, runBench } from './bench.ts'
import { SCENARIOS, type Scenario } from './schedule.ts'

const RUN_SECONDS = 60

const names = ['all', ...Object.keys(SCENARIOS)]
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '1' },
    scenario: { type: 'string', default: 'all' },
  },
})
const minutes = Number(values.minutes)
const firstSeed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed)
if (!names.includes(values.scenario) || !(minutes > 0) || !Number.isSafeInteger(firstSeed) || firstSeed < 0) {
  console.error(`npm run faults -- [--seed <number>] [--minutes <number>] [--scenario ${names.join('|')}]`)
  process.exit(2)
}
const scenario = values.scenario as Scenario
process.exit((await runAll()) ? 0 : 1)

async function runAll(): Promise<boolean> {
  let leftSeconds = minutes * 60
  let slowestMs = 0
  const total = { events: 0, ok: 0, refused: 0, unknown: 0, faults: 0 }
  for (let seed = firstSeed; leftSeconds > 0; seed++) {
    const seconds = Math.min(leftSeconds, RUN_SECONDS)
    const command = `npm run faults -- --seed ${seed} --minutes ${seconds / 60} --scenario ${scenario}`
    console.log(command)
    const result = await run(seed, seconds)
    if (typeof result === 'string') return failed(result, command)
    const { verdict, history, faults } = result
    console.log(describeVerdict(history, verdict))
    slowestMs = Math.max(slowestMs, slowestAnswer(history))
    if (verdict.findings.length > 0) {
      const file = join(tmpdir(), `annals-faults-${seed}.ndjson`)
      await writeHistory(file, history)
      return failed(`the history is in ${file}; annals prove --check ${file} judges it again`, command)
    }
    for (const name of ['events', 'ok', 'refused', 'unknown'] as const) total[name] += verdict.counts[name]
    total.faults += faults
    leftSeconds -= seconds
  }
  const { events, ok, refused, unknown, faults } = total
  console.log(
    `\n${minutes} min, seeds from ${firstSeed}, ${faults} faults: ${events} events stored; of the attempts to append ${ok} were acknowledged, ${refused} refused, ${unknown} of unknown outcome; every promise was kept; the slowest answer to an append took ${(slowestMs / 1_000).toFixed(1)} s`,
  )
  return true
}

/** Of an append, in milliseconds. */
function slowestAnswer({ operations }: History): number {
  return Math.max(0, ...operations.filter(({ kind }) => kind === 'append').map(({ from_ms, to_ms }) => to_ms - from_ms))
}

async function run(seed: number, seconds: number): Promise<BenchResult | string> {
  const teardowns: (() => unknown)[] = []
  try {
    const t = { teardown: (fn: () => unknown) => teardowns.unshift(fn) }
    return await runBench(t, { seed, seconds, scenario, isApart: true, longestMs: 6_000, log: console.log })
  } catch (error) {
    return String((error as Error).stack)
  } finally {
    for (const teardown of teardowns) await teardown()
  }
}

function failed(why: string, command: string): false {
  console.error(`\n${why}\n\nfailed; to repeat it: ${command}`)
  return false
}
