// The corpus of bad input against a running service, and random damage to good requests.

import t from 'tap'
import { loadSettings } from '../src/config.ts'
import { runMigrations } from '../src/db/migrations/migrator.ts'
import { openLog } from '../src/logger.ts'
import { startService } from '../src/service.ts'
import { CORPUS } from './bad-input/corpus.ts'
import { type Bench, checkOrder, judge, judgeDamaged, PROMISED_MS, prepare, tidyUp } from './bad-input/judge.ts'
import { damaged, seeded } from './bad-input/mutate.ts'
import { createTestDatabase, type TestDatabase } from './support/postgres.ts'

const tokens = {
  admin: 'admin-token-0123456789',
  read: 'read-token-0123456789',
  append: 'append-token-0123456789',
  metrics: 'metrics-token-0123456789',
}
let database: TestDatabase
let bench: Bench
// Damaged requests under way at once.
const TOGETHER = 20
// FAULT_LIMITS=contract: answered as soon as is promised, on a machine that does nothing else.
const limit = process.env['FAULT_LIMITS'] === 'contract' ? { limitMs: PROMISED_MS } : {}

/** A service on the database, and what the cases need in it. */
async function open(env: Record<string, string> = {}): Promise<Bench> {
  const { settings } = loadSettings({
    DATABASE_URL: database.url,
    PORT: '0',
    LOG_LEVEL: 'silent',
    DATABASE_ACQUIRE_TIMEOUT_MS: '6000',
    APPEND_QUEUE_TIMEOUT_MS: '6000',
    MIGRATIONS_OVER_HTTP: 'on',
    ANNALS_TOKENS: Object.entries(tokens)
      .map(([scope, token]) => `${scope}:${token}`)
      .join(),
    ...env,
  })
  const service = await startService({ settings, log: openLog(settings) })
  await service.ready
  t.teardown(() => service.close())
  return prepare({ url: new URL(service.url), tokens, isAlone: true, ...limit })
}

t.before(async () => {
  database = await createTestDatabase(t)
  await runMigrations(database.url)
  bench = await open()
})

for (const [chapter, cases] of Object.entries(CORPUS)) {
  t.test(`bad input has one exact answer and stores nothing: ${chapter}`, async (t) => {
    for (const each of cases) {
      t.same(await judge(bench, each), [], each[0])
    }
  })
}

// ANNALS_DAMAGED_REQUESTS and ANNALS_DAMAGE_SEED: more of them, or the same ones again.
t.test('random damage to good requests is refused or served, and never breaks anything', async (t) => {
  const count = Number(process.env['ANNALS_DAMAGED_REQUESTS'] ?? 3_000)
  const seed = Number(process.env['ANNALS_DAMAGE_SEED'] ?? Math.floor(Math.random() * 2 ** 32))
  const random = seeded(seed)
  const flaws: { request: string; flaws: string[] }[] = []
  for (let sent = 0; sent < count; sent += TOGETHER) {
    const requests = Array.from({ length: TOGETHER }, () => damaged(random))
    const found = await Promise.all(requests.map((request) => judgeDamaged(bench, request)))
    found.forEach((each, i) => {
      if (each.length > 0) flaws.push({ request: requests[i] as string, flaws: each })
    })
  }
  t.same(flaws.slice(0, 5), [], `seed ${seed}: ANNALS_DAMAGE_SEED=${seed} ANNALS_DAMAGED_REQUESTS=${count} replays it`)
  await checkOrder(bench)
})

t.test('the same cases go to a service with a limit on requests, as fast as it lets them', async (t) => {
  const limited = await open({ RATE_LIMIT_PER_SECOND: '20', RATE_LIMIT_BURST: '5' })
  const cases = Object.values(CORPUS).flatMap((chapter) => chapter.slice(0, 3))
  for (const each of cases) t.same(await judge(limited, each), [], each[0])
  await tidyUp(limited)
})

t.test('the corpus has hundreds of cases, each with a name of its own, and leaves nothing behind', async (t) => {
  const names = Object.entries(CORPUS).flatMap(([chapter, cases]) => cases.map(([name]) => `${chapter}: ${name}`))
  t.ok(names.length > 500, `${names.length} cases`)
  t.equal(new Set(names).size, names.length)
  t.comment(`the slowest case: ${bench.slowest.name}, ${Math.round(bench.slowest.tookMs)} ms`)
  await tidyUp(bench)
})
