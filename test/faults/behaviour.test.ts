// What the service does while its database, or the way to it, fails, and how soon it is well again.

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { Random } from '../../src/proof/random.ts'
import { runSql, startTestCluster } from '../support/postgres.ts'
import { appendTo, ask, spawnService, startTestService, until } from '../support/service.ts'
import { appendAsCrowd } from './crowd.ts'
import { FaultProxy } from './fault-proxy.ts'
import { Observer } from './observer.ts'
import { checkFeed, type Fault, follow, isContract, lasting, type Promised, prove, SERVICE } from './prove.ts'

t.test('one service and one database', async (t) => {
  const cluster = await startTestCluster(t, { isDurable: false, settings: { max_connections: '30' } })
  const proxy = await FaultProxy.start(t, cluster.url)
  const { url, ready } = await startTestService(t, { ...SERVICE, DATABASE_URL: proxy.url })
  await ready
  await appendTo(url, 'first')
  const follower = await follow(t, url)
  const ids = new Set<string>()
  const proveHere = async (t: Test, fault: Fault, promised: Promised) => {
    for (const id of (await prove(t, url, fault, promised)).stored) ids.add(id)
  }
  const AWAY = /^(201|database_unavailable|commit_outcome_unknown)$/
  const NO_READ = /^(200|database_unavailable)$/

  await t.test('the database refuses connections', (t) =>
    proveHere(
      t,
      { begin: () => proxy.refuse(), lastsMs: lasting(1_500), end: () => proxy.heal() },
      { readyMs: 2_000, appends: AWAY, reads: NO_READ, recoverMs: 2_000 },
    ),
  )

  await t.test('the database is restarted', (t) =>
    proveHere(
      t,
      { begin: () => cluster.stop(), lastsMs: lasting(1_500), end: () => cluster.start() },
      { readyMs: 2_000, appends: AWAY, reads: NO_READ, recoverMs: 2_000 },
    ),
  )

  await t.test('the database is killed', (t) =>
    proveHere(
      t,
      { begin: () => cluster.kill(), lastsMs: lasting(1_500), end: () => cluster.start() },
      { readyMs: 2_000, appends: AWAY, reads: NO_READ, recoverMs: 2_000 },
    ),
  )

  const HUNG = /^(201|database_unavailable|commit_outcome_unknown|overloaded|timeout|busy)$/
  const NO_ANSWER = /^(200|database_unavailable|timeout|pool_exhausted)$/

  await t.test('the database is frozen', (t) =>
    proveHere(
      t,
      { begin: () => cluster.pause(), lastsMs: lasting(8_000), end: () => cluster.resume() },
      { readyMs: 3_000, appends: HUNG, reads: NO_ANSWER, recoverMs: 5_000 },
    ),
  )

  for (const direction of ['both'] as const) {
    await t.test(`the network swallows what goes ${direction}`, (t) =>
      proveHere(
        t,
        { begin: () => proxy.blackHole(direction, true), lastsMs: lasting(6_000), end: () => proxy.heal() },
        { readyMs: 8_000, appends: HUNG, reads: NO_ANSWER, recoverMs: 5_000 },
      ),
    )
  }

  await t.test('connections are accepted, and nobody answers', (t) =>
    proveHere(
      t,
      {
        begin: () => {
          proxy.silence()
          proxy.cut()
        },
        lastsMs: lasting(3_000),
        end: () => proxy.heal(),
      },
      { readyMs: 8_000, appends: HUNG, reads: NO_ANSWER, recoverMs: 5_000 },
    ),
  )

  await t.test('connections stall at random and go on in another order', (t) =>
    proveHere(
      t,
      { begin: () => proxy.swizzle(new Random(1), 500), lastsMs: 0, end: () => proxy.heal() },
      { appends: HUNG, reads: NO_ANSWER, recoverMs: 5_000 },
    ),
  )

  const hold = async (sql: string) => {
    const blocker = new pg.Client({ connectionString: cluster.adminUrl })
    await blocker.connect()
    await blocker.query('BEGIN')
    await blocker.query(sql)
    return blocker
  }

  await t.test('the head is locked by somebody else', async (t) => {
    let blocker: pg.Client | undefined
    await proveHere(
      t,
      {
        begin: async () => {
          blocker = await hold('SELECT * FROM annals_head FOR UPDATE')
        },
        lastsMs: lasting(4_000),
        end: () => blocker?.end(),
      },
      { appends: /^(201|busy)$/, reads: /^200$/, answerMs: 2_500, recoverMs: 1_000 },
    )
  })

  await t.test('reads that wait for a lock exhaust the pool', async (t) => {
    let blocker: pg.Client | undefined
    await proveHere(
      t,
      {
        begin: async () => {
          blocker = await hold('LOCK TABLE events IN ACCESS EXCLUSIVE MODE')
        },
        lastsMs: lasting(4_000),
        end: () => blocker?.end(),
      },
      {
        appends: /^(201|busy|pool_exhausted)$/,
        reads: /^(200|busy|pool_exhausted)$/,
        answerMs: 2_500,
        recoverMs: 1_000,
      },
    )
  })

  await t.test('the server has no connection left', async (t) => {
    const others: pg.Client[] = []
    await proveHere(
      t,
      {
        begin: async () => {
          for (let isFull = false; !isFull; ) {
            const other = new pg.Client({ connectionString: cluster.url })
            other.on('error', () => {})
            await other.connect().then(
              () => others.push(other),
              () => {
                isFull = true
              },
            )
          }
        },
        lastsMs: lasting(1_500),
        end: () => Promise.all(others.map((other) => other.end())),
      },
      {
        appends: /^(201|pool_exhausted|database_unavailable)$/,
        reads: /^(200|pool_exhausted|database_unavailable)$/,
        answerMs: 2_500,
        recoverMs: 1_000,
      },
    )
  })

  await t.test('a transaction that somebody leaves open delays nothing', async (t) => {
    let idle: pg.Client | undefined
    await proveHere(
      t,
      {
        begin: async () => {
          idle = await hold('SELECT pg_current_xact_id(), count(*) FROM events')
        },
        lastsMs: lasting(500),
        end: () => idle?.end(),
      },
      { appends: /^201$/, reads: /^200$/, answerMs: 2_500, recoverMs: 1_000 },
    )
  })

  await t.test('backends are ended one after another', async (t) => {
    const random = new Random(7)
    await proveHere(
      t,
      {
        begin: async () => {
          for (let i = 0; i < 20; i++) {
            const rows = await runSql<{ pid: number }>(
              cluster.adminUrl,
              `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'annals/%' AND application_name NOT LIKE '% admin'`,
            )
            if (rows.length > 0) {
              await runSql(cluster.adminUrl, 'SELECT pg_terminate_backend($1)', [random.pick(rows).pid])
            }
            await sleep(50)
          }
        },
        lastsMs: 0,
        end: () => {},
      },
      { appends: /^201$/, reads: /^200$/, answerMs: 2_500, recoverMs: 1_000 },
    )
  })

  await t.test('the follower saw it all', (t) => checkFeed(t, url, ids, follower))

  await t.test('answers of appends get lost: each is settled, none is lost or stored twice', async (t) => {
    const count = Number(process.env['FAULT_LOST_REPLIES'] ?? 150)
    const random = new Random(count)
    let lost = 0
    let killed = 0
    proxy.inject(({ text }) => {
      if (!/annals_append|UPDATE \S+annals_head/.test(text) || lost >= count || random.chance(0.5)) return undefined
      if (random.chance(0.25)) {
        killed++
        return { kind: 'die', when: 'before' }
      }
      lost++
      return { kind: 'die', when: 'after', delivered: random.pick(['nothing', 'all_but_ready'] as const) }
    })
    const codes: Record<string, number> = {}
    const answered: string[] = []
    const startedAt = performance.now()
    await Promise.all(
      Array.from({ length: 4 }, async (_, writer) => {
        while (lost < count) {
          const { status, body } = await appendTo(url, `lost-${writer}`)
          const code = status === 201 ? '201' : String(body['code'])
          codes[code] = (codes[code] ?? 0) + 1
          if (status === 201) answered.push(...(body['event_ids'] as string[]))
        }
      }),
    )
    const tookMs = performance.now() - startedAt
    await proxy.heal()
    t.comment(JSON.stringify({ lost, killed, codes, perLossMs: Math.round(tookMs / lost) }))
    // Each that was not settled counts against the answers that were lost, not against all appends.
    const { 201: _, ...others } = codes
    const unsettled = Object.values(others).reduce((sum, each) => sum + each, 0)
    t.ok(unsettled <= lost * 0.01, `all but ${unsettled} of ${lost} settled`)
    await checkFeed(t, url, answered)
    const { body } = await ask(`${url}/health`)
    t.equal(body['event_count'], (await runSql(cluster.adminUrl, 'SELECT count(*)::int AS n FROM events'))[0]?.['n'])
  })
})

t.test('more appends than can wait are refused at once, and the others are stored', async (t) => {
  const cluster = await startTestCluster(t, { isDurable: false })
  const env = { ...SERVICE, DATABASE_URL: cluster.url, APPEND_QUEUE_MAX_EVENTS: '50', APPEND_QUEUE_TIMEOUT_MS: '2500' }
  const { url, ready } = await startTestService(t, env)
  await ready
  const blocker = new pg.Client({ connectionString: cluster.adminUrl })
  await blocker.connect()
  await blocker.query('BEGIN; SELECT * FROM annals_head FOR UPDATE')
  const crowd = Array.from({ length: 300 }, (_, i) => appendTo(url, `crowd-${i}`))
  // All but the first and those that may wait are answered while the head is locked.
  let answered = 0
  for (const each of crowd) void each.then(() => answered++)
  await until(() => answered >= 200)
  await blocker.end()
  const answers = await Promise.all(crowd)
  const codes = new Set(answers.map(({ status, body }) => (status === 201 ? '201' : String(body['code']))))
  t.ok(codes.has('overloaded'))
  t.same(
    [...codes].filter((code) => !['201', 'overloaded', 'busy'].includes(code)),
    [],
  )
  for (const { status, body, headers } of answers) {
    if (status === 201) continue
    t.match(body, { retryable: true, outcome: 'not_applied' })
    t.ok(headers.get('retry-after'))
  }
  t.equal((await ask(`${url}/health/ready`)).status, 200)
  await checkFeed(
    t,
    url,
    answers.flatMap(({ body }) => (body['event_ids'] as string[] | undefined) ?? []),
  )
  t.equal((await appendTo(url, 'after')).status, 201)
})

// 10,000 connections with FAULT_LIMITS=contract. Fewer in the suite, with larger requests, so that they are too many too.
t.test(
  'thousands of connections at once: some are refused, the others stay fast, and probes are answered',
  async (t) => {
    const cluster = await startTestCluster(t, { isDurable: isContract })
    const {
      url,
      process: child,
      said,
    } = await spawnService(t, {
      MIGRATE_ON_START: 'on',
      LOG_REQUESTS: 'off',
      DATABASE_URL: cluster.url,
    })
    await said('is ready at')
    const observer = new Observer(url)
    let residentKb = 0
    const timer = setInterval(() => {
      residentKb = Math.max(
        residentKb,
        Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]),
      )
    }, 100)
    const size = isContract
      ? { connections: 10_000, eventsPerRequest: 1 }
      : { connections: 3_000, eventsPerRequest: 20 }
    const answers = await appendAsCrowd(url, { ...size, ms: isContract ? 8_000 : 3_000 })
    clearInterval(timer)
    await observer.stop()
    const accepted = answers.filter(({ status }) => status === 201)
    const refused = answers.filter(({ status }) => status !== 201)
    t.ok(accepted.length > 0 && refused.length > 0, `${accepted.length} accepted, ${refused.length} refused`)
    t.same(
      refused.filter(
        ({ status, code, retryAfter, outcome }) =>
          !(status === 503 && code === 'overloaded' && outcome === 'not_applied' && retryAfter === 1),
      ),
      [],
    )
    // While connections are still being opened everybody waits for the system.
    const settledAt = observer.startedAt + 3_000
    const times = accepted.filter(({ sentAt }) => sentAt > settledAt).map(({ tookMs }) => tookMs)
    const p99 = Math.round(times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0)
    if (isContract) t.ok(p99 < 1_000, `99 % of the accepted within ${p99} ms`)
    t.ok(residentKb < 1_000_000, `${Math.round(residentKb / 1_000)} MB`)
    t.same(
      observer.answers.filter(({ question, status }) => question !== 'append' && status !== 200),
      [],
      'probes and reads are answered',
    )
    const { tookMs: live = 0 } =
      observer.since(0, 'live').sort((a, b) => a.tookMs - b.tookMs)[Math.floor(observer.since(0, 'live').length / 2)] ??
      {}
    t.comment(
      JSON.stringify({
        ...size,
        accepted: accepted.length,
        refused: refused.length,
        p99,
        live: Math.round(live),
        slowestLive: Math.round(observer.slowest('live')),
        residentKb,
      }),
    )
    await until(async () => (await appendTo(url, 'after')).status === 201)
    await checkFeed(t, url, [...accepted.flatMap(({ ids }) => ids), ...observer.stored])
  },
)
