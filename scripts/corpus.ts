// `npm run corpus -- --url <url>`: sends the corpus of bad input to a service that runs, and says what it answered
// otherwise than it has to. It stores a thousand or so events in streams that begin with `corpus-`.

import { parseArgs } from 'node:util'
import { CORPUS } from '../test/bad-input/corpus.ts'
import { judge, PROMISED_MS, prepare, tidyUp } from '../test/bad-input/judge.ts'

const { values } = parseArgs({
  options: {
    url: { type: 'string', default: process.env['ANNALS_URL'] ?? 'http://127.0.0.1:8080' },
    tokens: { type: 'string', default: process.env['ANNALS_TOKENS'] ?? '' },
    shared: { type: 'boolean', default: false },
    strict: { type: 'boolean', default: false },
  },
})

/** Plain tokens by their one scope, as ANNALS_TOKENS has them. */
function tokensOf(list: string): Record<string, string> {
  const entries = list
    .split(',')
    .map((entry) => [entry.slice(0, entry.indexOf(':')), entry.slice(entry.indexOf(':') + 1)])
  return Object.fromEntries(entries.filter(([scope]) => scope !== ''))
}

const tokens = tokensOf(values.tokens)
const lacking = ['admin', 'read', 'append', 'metrics'].filter((scope) => tokens[scope] === undefined)
const bench = await prepare({
  url: new URL(values.url),
  tokens,
  isAlone: !values.shared,
  ...(values.strict && { limitMs: PROMISED_MS }),
})
let passed = 0
let failed = 0
let skipped = 0
for (const [chapter, cases] of Object.entries(CORPUS)) {
  for (const each of cases) {
    const [name, , , options] = each
    if (options?.needsTokens && lacking.length > 0) {
      skipped++
      continue
    }
    const flaws = await judge(bench, each)
    if (flaws.length === 0) passed++
    else failed++
    for (const flaw of flaws) console.log(`${chapter}: ${name}: ${flaw}`)
  }
}
await tidyUp(bench)
if (skipped > 0) console.log(`${skipped} skipped: --tokens has no plain token for ${lacking.join(', ')} alone`)
const { name, tookMs } = bench.slowest
console.log(`slowest: ${name}, ${Math.round(tookMs)} ms`)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
