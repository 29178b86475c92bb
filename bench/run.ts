// `npm run bench [-- options] [scenario …]`: measures Annals beside its peers and limits, and writes bench/results.md.

import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { endChildren } from './harness/child.ts'
import { Closers } from './harness/closers.ts'
import { describeMachine, watchOthers } from './harness/machine.ts'
import { keepResults, markdown, type Result, resultOf } from './harness/results.ts'
import { isMet, type Scenario } from './harness/scenario.ts'
import { openServer } from './harness/server.ts'
import { appendBatch } from './scenarios/append-batch.ts'
import { appendEmmett } from './scenarios/append-emmett.ts'
import { appendRoof } from './scenarios/append-roof.ts'
import { appendSingle } from './scenarios/append-single.ts'
import { backup } from './scenarios/backup.ts'
import { conflictStorm } from './scenarios/conflict-storm.ts'
import { delivery } from './scenarios/delivery.ts'
import { feed } from './scenarios/feed.ts'
import { growth } from './scenarios/growth.ts'
import { hotStream } from './scenarios/hot-stream.ts'
import { importEvents } from './scenarios/import.ts'
import { memory } from './scenarios/memory.ts'
import { size } from './scenarios/size.ts'
import { start } from './scenarios/start.ts'
import { streamReads } from './scenarios/stream-reads.ts'
import { twoProcesses } from './scenarios/two-processes.ts'

const SCENARIOS: Scenario[] = [
  ...[appendSingle, appendRoof, appendEmmett, appendBatch],
  ...[importEvents, feed, streamReads],
  ...[twoProcesses, hotStream, conflictStorm],
  ...[backup, delivery, growth, size, memory, start],
]
const MIN_ROUNDS = 5
const OTHERS_WORTH_A_WARNING = 0.2
const FOLDER = fileURLToPath(new URL('.', import.meta.url))
const SERVICE = fileURLToPath(new URL('../dist/main.js', import.meta.url))

const USAGE = `npm run bench [-- options] [scenario …]

  --rounds N       rounds of each scenario; fewer than ${MIN_ROUNDS} are printed, but not kept (default ${MIN_ROUNDS})
  --seconds N      length of a measured leg (default 4)
  --quick          one short round with less data, to see that it works; not kept
  --json           print the results as JSON on standard output
  --service FILE   measure this program (default dist/main.js)
  --profile DIR    write processor profiles of the service to DIR (open them in Chrome's or VS Code's profile view)

DATABASE_URL: a server on which databases may be made, instead of an embedded one in a temporary folder.

${SCENARIOS.map(({ name, about, isLong }) => `  ${name.padEnd(16)} ${about}${isLong ? ' Minutes; only when named.' : ''}`).join('\n')}
`

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: String(MIN_ROUNDS) },
    seconds: { type: 'string', default: '4' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    service: { type: 'string', default: SERVICE },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const rounds = options.quick ? 1 : Number(options.rounds)
const seconds = options.quick ? Math.min(1, Number(options.seconds)) : Number(options.seconds)
const chosen =
  names.length === 0 ? SCENARIOS.filter(({ isLong }) => !isLong) : SCENARIOS.filter(({ name }) => names.includes(name))
const unknown = names.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name))

if (options.help || unknown.length > 0 || !(rounds >= 1) || !(seconds > 0)) {
  if (unknown.length > 0) console.error(`there is no scenario ${unknown.join(', ')}\n`)
  console.error(USAGE)
  process.exit(options.help ? 0 : 2)
}

const closers = new Closers()
closers.add(endChildren)
closers.closeOnSignals()
const say = (text: string) => console.error(text)
const results: Result[] = []
const failures: string[] = []
try {
  const server = await openServer(closers, process.env['DATABASE_URL'])
  const machine = describeMachine(server)
  const program = { entry: options.service, ...(options.profile && { profileDir: options.profile }) }
  for (const scenario of chosen) {
    say(`── ${scenario.name}: ${scenario.about}`)
    const bench = { server, program, closers: closers.part(), rounds, seconds, isQuick: options.quick, say }
    try {
      const coresOfOthers = watchOthers(server)
      const outcome = await scenario.run(bench)
      const othersCores = coresOfOthers()
      if (othersCores > OTHERS_WORTH_A_WARNING) say(`other work kept ${othersCores.toFixed(1)} cores busy meanwhile`)
      results.push(resultOf(scenario, { machine, seconds, othersCores }, outcome))
    } catch (error) {
      // Told to stop: the signal's handler ends the process when everything is down.
      if (closers.isClosing) await new Promise(() => {})
      failures.push(`${scenario.name}: ${(error as Error).message}`)
      console.error(error)
    } finally {
      await bench.closers.closeAll()
    }
  }
} finally {
  await closers.closeAll()
}

const isKept = !options.quick && rounds >= MIN_ROUNDS && results.length > 0
if (isKept)
  keepResults(
    FOLDER,
    SCENARIOS.map(({ name }) => name),
    results,
  )
if (options.json) console.log(JSON.stringify(results, null, 2))
else if (results.length > 0) console.log(markdown(results))
say(isKept ? 'written to bench/results.md' : 'not kept: bench/results.md is only for whole runs')
const missed = results.flatMap(({ bars }) => bars.filter((bar) => !isMet(bar)))
if (missed.length > 0) say(`bars not met: ${missed.map(({ what }) => what).join('; ')}`)
for (const failure of failures) say(`FAILED ${failure}`)
process.exit(failures.length > 0 ? 1 : 0)
