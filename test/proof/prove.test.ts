// The proof against a real service: a sound one passes, also when answers get lost; one that loses something does not.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createClient } from '../../src/client/client.ts'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { checkHistory } from '../../src/proof/check-history.ts'
import { readHistory, writeHistory } from '../../src/proof/history-file.ts'
import { Random } from '../../src/proof/random.ts'
import { runWorkload, type WorkloadOptions } from '../../src/proof/workload.ts'
import { faultyFetch, problemAnswer } from '../support/faulty-fetch.ts'
import { createTestDatabase, runSql, testFolder } from '../support/postgres.ts'
import { spawnAnnals, startTestService, until } from '../support/service.ts'

let url: string
let databaseUrl: string
t.before(async () => {
  databaseUrl = (await createTestDatabase(t)).url
  await runMigrations(databaseUrl)
  const service = await startTestService(t, { DATABASE_URL: databaseUrl, LOG_LEVEL: 'silent' })
  await service.ready
  url = service.url
})

/** Writes until `isEnough`; a time limit would be too short on one machine and too long on another. */
async function run(isEnough: (operations: number) => boolean, options: Partial<WorkloadOptions> = {}) {
  const stop = new AbortController()
  return runWorkload({
    url,
    clients: 6,
    seed: 11,
    signal: stop.signal,
    onProgress: ({ operations }) => {
      if (isEnough(operations)) stop.abort()
    },
    ...options,
  })
}

t.test(
  'a sound service passes while others write to the same store, and its history can be judged again',
  async (t) => {
    const others = createClient({ url })
    let isDone = false
    const writing = (async () => {
      while (!isDone) await others.append('of-somebody-else', [{ type: 'A' }, { type: 'B' }])
    })()
    const history = await run((operations) => operations > 600)
    isDone = true
    await writing
    const verdict = checkHistory(history)
    t.same(verdict.findings, [])
    const { counts } = verdict
    for (const [what, count] of Object.entries(counts)) {
      if (what !== 'unknown' && what !== 'unknown_stored') t.ok(count > 0, `${what}: ${count}`)
    }
    t.ok(history.dump.entries.some((entry) => 'foreign' in entry))

    const file = join(testFolder(t), 'history.ndjson')
    await writeHistory(file, history)
    t.same(checkHistory(await readHistory(file)), verdict)
    const lines = readFileSync(file, 'utf8').split('\n')
    const damaged: [string, RegExp][] = [
      [lines.slice(0, -2).join('\n'), /cut off/],
      [lines.slice(1).join('\n'), /first line/],
      [`${lines[0]}\nnothing\n`, /line 2 is not one of a history/],
      [`${(lines[0] as string).replace('"version":1', '"version":2')}\n`, /version 2/],
      ['', /cut off/],
    ]
    for (const [text, why] of damaged) {
      writeFileSync(file, text)
      await t.rejects(readHistory(file), why)
    }
  },
)

t.test('lost requests and answers are no loss', async (t) => {
  const random = new Random(5)
  let isOver = false
  const { fetch } = faultyFetch(() => {
    if (isOver || random.chance(0.7)) return 'fine'
    const unavailable = () => problemAnswer('database_unavailable', 503)
    return random.pick(['before', 'after', 'after', 'cut', unavailable()] as const)
  })
  // The first request of all has to arrive, and the last ones.
  let isBegun = false
  const history = await run(
    (operations) => {
      isOver = operations > 500
      return isOver
    },
    {
      fetch: (...request) => {
        const first = !isBegun
        isBegun = true
        return first ? globalThis.fetch(...request) : fetch(...request)
      },
    },
  )
  const { findings, counts } = checkHistory(history)
  t.same(findings, [])
  t.ok(counts.unknown > 10, `${counts.unknown} without an answer`)
  t.ok(counts.unknown_stored > 0, `${counts.unknown_stored} of them stored`)
  t.ok(counts.replayed > 10, `${counts.replayed} replays`)
})

t.test('annals prove tells what it did and what it leaves, and fails on a file that shows a loss', async (t) => {
  const file = join(testFolder(t), 'history.ndjson')
  const proved = spawnAnnals(t, ['prove', '--url', url, '--seconds', '1', '--seed', '3', '--history', file])
  t.equal(await proved.exit, 0)
  const said = proved.stdout.join('\n')
  t.match(said, 'ok      nothing that was acknowledged is lost')
  t.match(said, /It left \d+ events in \d+ streams whose ids begin with "annals-proof-3-\w+\/"/)
  t.notMatch(said, 'BROKEN')

  const lines = readFileSync(file, 'utf8').trim().split('\n')
  const at = lines.findLastIndex((line) => line.startsWith('{"stored":{"position"'))
  const [head = '', end = ''] = [lines[0], lines.at(-1)]
  const { end: counts } = JSON.parse(end) as { end: { entries: number } }
  writeFileSync(
    file,
    [
      head,
      ...lines.slice(1, at),
      ...lines.slice(at + 1, -1),
      JSON.stringify({ end: { ...counts, entries: counts.entries - 1 } }),
      '',
    ].join('\n'),
  )
  const [text, json] = [
    spawnAnnals(t, ['prove', '--check', file]),
    spawnAnnals(t, ['prove', '--check', file, '--json']),
  ]
  t.same(await Promise.all([text.exit, json.exit]), [1, 1])
  t.match(text.stdout.join('\n'), /BROKEN {2}nothing that was acknowledged is lost|BROKEN {2}positions are contiguous/)
  t.match(text.stderr.join('\n'), /annals: \d+ of the promises (is|are) broken/)
  const { findings } = JSON.parse(json.stdout.join('\n')) as { findings: { rule: string }[] }
  t.ok(findings.some(({ rule }) => rule === 'position_gap'))
})

t.test('what can not be proved ends with a sentence', async (t) => {
  const guarded = await startTestService(t, { DATABASE_URL: databaseUrl, ANNALS_TOKENS: 'read:0123456789abcdef' })
  await until(async () => (await fetch(`${guarded.url}/health/ready`)).ok)
  const cases: [string[], number, RegExp][] = [
    [['--url', 'http://127.0.0.1:1'], 4, /can't be reached/],
    [['--url', guarded.url], 4, /401 unauthenticated/],
    [['--url', guarded.url, '--token', '0123456789abcdef'], 4, /an append was answered forbidden/],
    [['--check', '/nowhere'], 4, /can't be read: it is not there/],
    [['--clients', '0'], 64, /from 1 to 256/],
    [['--check', 'a', '--history', 'b'], 64, /cannot be used with/],
  ]
  await Promise.all(
    cases.map(async ([args, code, text]) => {
      const child = spawnAnnals(t, ['prove', ...args])
      t.equal(await child.exit, code, args.join(' '))
      t.match(child.stderr.join('\n'), text)
    }),
  )
})

// The last one: whoever reads the feed after it finds the hole.
t.test('an event that is deleted behind the service is missed', async (t) => {
  let deletion: Promise<unknown> | undefined
  let isDeleted = false
  const history = await run((operations) => {
    if (operations > 200 && deletion === undefined) {
      const second = `SELECT max(position) FROM events WHERE stream_id LIKE 'annals-proof-%/shared-1' AND version = 2`
      const remove = `DELETE FROM events WHERE position = (${second})`
      deletion = runSql(databaseUrl, `BEGIN; SET LOCAL annals.allow_rewrite = on; ${remove}; COMMIT`).finally(() => {
        isDeleted = true
      })
    }
    return operations > 400 && isDeleted
  })
  await deletion
  const rules = checkHistory(history).findings.map(({ rule }) => rule)
  for (const rule of ['acknowledged_lost', 'position_gap', 'version_gap'] as const) t.ok(rules.includes(rule), rule)
})
