// The corpus of bad input against a running service, and random damage to good requests.

import t from 'tap'
import { loadSettings } from '../src/config.ts'
import { runMigrations } from '../src/db/migrator.ts'
import { openLog } from '../src/logger.ts'
import { startService } from '../src/service.ts'
import { CORPUS } from './bad-input/corpus.ts'
import { type Bench, checkOrder, judge, judgeDamaged, prepare, tidyUp } from './bad-input/judge.ts'
import { damaged, seeded } from './bad-input/mutate.ts'
import { createTestDatabase } from './support/postgres.ts'

const tokens = {
  admin: 'admin-token-0123456789',
  read: 'read-token-0123456789',
  append: 'append-token-0123456789',
  metrics: 'metrics-token-0123456789',
}
let bench: Bench
// Damaged requests under way at once.
const TOGETHER = 20

t.before(async () => {
  const database = await createTestDatabase(t)
  await runMigrations(database.url)
  const { settings } = loadSettings({
    DATABASE_URL: database.url,
    PORT: '0',
    LOG_LEVEL: 'silent',
    MIGRATIONS_OVER_HTTP: 'on',
    ANNALS_TOKENS: Object.entries(tokens)
      .map(([scope, token]) => `${scope}:${token}`)
      .join(),
  })
  const service = await startService({ settings, log: openLog(settings) })
  await service.ready
  t.teardown(() => service.close())
  bench = await prepare({ url: new URL(service.url), tokens, isAlone: true })
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

t.test('the corpus has hundreds of cases, each with a name of its own, and leaves nothing behind', async (t) => {
  const names = Object.entries(CORPUS).flatMap(([chapter, cases]) => cases.map(([name]) => `${chapter}: ${name}`))
  t.ok(names.length > 500, `${names.length} cases`)
  t.equal(new Set(names).size, names.length)
  await tidyUp(bench)
})
