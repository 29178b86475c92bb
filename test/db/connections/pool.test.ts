import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import type { PoolClient } from 'pg'
import t from 'tap'
import { MeasuredPool } from '../../../src/db/connections/pool.ts'
import { applicationName, type PoolObserver, type PoolOptions } from '../../../src/db/connections/pool-options.ts'
import { openDatabase } from '../../../src/db/database.ts'
import { isSurelyNotApplied, translatePgError } from '../../../src/db/pg-errors.ts'
import { FaultProxy } from '../../faults/fault-proxy.ts'
import { runSql, startTestCluster, type Teardown } from '../../support/postgres.ts'

const cluster = await startTestCluster(t, { settings: { max_connections: '40' } })

interface Watched {
  pool: MeasuredPool
  seen: {
    acquired: number[]
    released: number[]
    created: number[]
    createdAt: number[]
    timedOut: string[]
    failed: Error[]
  }
}

function openPool(t: Teardown, options: Partial<PoolOptions> = {}): Watched {
  const seen: Watched['seen'] = { acquired: [], released: [], created: [], createdAt: [], timedOut: [], failed: [] }
  const observer: PoolObserver = {
    acquired: (seconds) => seen.acquired.push(seconds),
    released: (seconds) => seen.released.push(seconds),
    created: (seconds) => {
      seen.created.push(seconds)
      seen.createdAt.push(performance.now())
    },
    timedOut: (kind) => seen.timedOut.push(kind),
    failed: (error) => seen.failed.push(error),
  }
  const pool = new MeasuredPool({
    url: cluster.url,
    max: 5,
    min: 0,
    acquireTimeoutMs: 30_000,
    connectTimeoutMs: 30_000,
    idleTimeoutMs: 60_000,
    maxLifetimeMs: 600_000,
    testAfterIdleMs: 1_000,
    queryTimeoutMs: 30_000,
    session: {},
    applicationName: applicationName('test'),
    observer,
    ...options,
  })
  t.teardown(() => pool.end(200))
  return { pool, seen }
}

/** The pool's backends as the server sees them. */
const backends = (pool: MeasuredPool) =>
  runSql<{ pid: number; state: string }>(
    cluster.adminUrl,
    'SELECT pid, state FROM pg_stat_activity WHERE application_name = $1 ORDER BY pid',
    [pool.options.applicationName],
  )

const terminate = (pool: MeasuredPool, limit = 100) =>
  runSql(
    cluster.adminUrl,
    `SELECT pg_terminate_backend(pid) FROM
       (SELECT pid FROM pg_stat_activity WHERE application_name = $1 LIMIT $2) AS victims`,
    [pool.options.applicationName, limit],
  )

async function until(condition: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<number> {
  const startedAt = performance.now()
  while (!(await condition())) {
    if (performance.now() - startedAt > withinMs) throw new Error(`not within ${withinMs} ms`)
    await sleep(10)
  }
  return performance.now() - startedAt
}

const pidOf = async (client: PoolClient) => (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid as number

t.test('After the start the minimum is open, and the numbers are those of the server', async (t) => {
  const { pool, seen } = openPool(t, { min: 3 })
  await pool.start()
  t.match(pool.stats(), { size: 3, idle: 3, used: 0, waiting: 0, min: 3, max: 5, errors: 0 })
  t.equal((await backends(pool)).length, 3)
  const clients = await Promise.all([pool.connect(), pool.connect(), pool.connect(), pool.connect()])
  await Promise.all(clients.slice(0, 2).map((client) => client.query('BEGIN')))
  t.match(pool.stats(), { size: 4, idle: 0, used: 4, waiting: 0 })
  const states = (await backends(pool)).map(({ state }) => state)
  t.same(states.sort(), ['idle', 'idle', 'idle in transaction', 'idle in transaction'])
  await Promise.all(clients.slice(0, 2).map((client) => client.query('COMMIT')))
  for (const client of clients) client.release()
  t.match(pool.stats(), { size: 4, idle: 4, used: 0 })
  t.equal(pool.stats().acquire.count, 4)
  t.match([seen.acquired.length, seen.released.length, seen.created.length], [4, 4, 4])
  t.equal(pool.isPooled, false)
})

t.test('An exhausted pool refuses at the configured time, and serves first come, first served', async (t) => {
  const { pool, seen } = openPool(t, { max: 2, acquireTimeoutMs: 1_000 })
  const held = [await pool.connect(), await pool.connect()]
  const startedAt = performance.now()
  await t.rejects(pool.connect(), { name: 'AppError', code: 'pool_exhausted' })
  const waited = performance.now() - startedAt
  t.ok(waited > 995 && waited < 20_000, `refused after ${waited.toFixed(1)} ms`)
  t.same(seen.timedOut, ['queue'])

  const order: number[] = []
  const waiters = [1, 2, 3].map(async (n) => {
    const client = await pool.connect()
    order.push(n)
    const pid = await pidOf(client)
    client.release()
    return pid
  })
  t.match(pool.stats(), { waiting: 3, used: 2, timeouts: { queue: 1, connect: 0 } })
  await sleep(50)
  t.ok((pool.stats().oldest_wait_ms ?? 0) >= 45)
  held[0]?.release()
  const pids = await Promise.all(waiters)
  t.same(order, [1, 2, 3])
  t.equal(new Set(pids).size, 1, 'all by the one connection that came back')
  held[1]?.release()
  t.equal(pool.stats().waiting, 0)
})

t.test('Backends that are terminated while idle are not noticed by anybody', async (t) => {
  for (const testAfterIdleMs of [0, 1_000]) {
    const { pool, seen } = openPool(t, { min: 5, testAfterIdleMs })
    await pool.start()
    for (let round = 0; round < 10; round++) {
      await until(() => pool.stats().idle >= 5)
      await pool.query('SELECT $1::int', [1])
      await terminate(pool)
      const results = await Promise.all(Array.from({ length: 20 }, () => pool.query('SELECT $1::int AS x', [round])))
      t.ok(results.every(({ rows }) => rows[0]?.['x'] === round))
    }
    await until(() => pool.stats().idle === 5)
    t.ok(seen.failed.length > 0, 'it did happen')
    t.match(pool.stats(), { size: 5, used: 0 })
  }
})

t.test('The minimum is refilled in the background when connections die', async (t) => {
  const { pool } = openPool(t, { min: 4 })
  await pool.start()
  await terminate(pool, 3)
  const tookMs = await until(async () => pool.stats().errors === 3 && pool.stats().idle === 4)
  t.equal((await backends(pool)).length, 4)
  t.ok(tookMs < 30_000, `back after ${tookMs.toFixed(0)} ms`)
  t.match(pool.stats(), { size: 4, errors: 3 })
})

t.test('A connection whose network went silent is found out before it is handed out', async (t) => {
  const proxy = await FaultProxy.start(t, cluster.url)
  const { pool } = openPool(t, { url: proxy.url, max: 20, testAfterIdleMs: 0, connectTimeoutMs: 5_000 })
  const clients = await Promise.all(Array.from({ length: 20 }, () => pool.connect()))
  for (const client of clients) client.release()
  proxy.blackHole()
  const startedAt = performance.now()
  setTimeout(() => void proxy.heal(), 600)
  // The first test of 0.5 s condemns all that were idle; testing one after another would take ten seconds.
  const error = await pool.query('SELECT 1').catch((caught) => caught)
  const tookMs = performance.now() - startedAt
  t.ok(tookMs < 9_000, `answered after ${tookMs.toFixed(0)} ms`)
  if (error instanceof Error) t.equal(translatePgError(error).code, 'database_unavailable')
  t.same((await pool.query('SELECT 2 AS x')).rows, [{ x: 2 }])
})

t.test('Connections are replaced when they have lived long enough, and not all at once', async (t) => {
  // So many that their times differ, whatever the dice say.
  const { pool, seen } = openPool(t, { min: 12, max: 12, maxLifetimeMs: 1_500 })
  await pool.start()
  const before = (await backends(pool)).map(({ pid }) => pid)
  await until(() => seen.createdAt.length >= 24)
  const [first = 0] = seen.createdAt
  const ages = seen.createdAt.slice(12, 24).map((at) => Math.round(at - first))
  t.ok(Math.min(...ages) >= 1_340, `replaced after ${ages.join(', ')} ms`)
  t.ok(Math.max(...ages) - Math.min(...ages) > 5, 'spread over 10 % of the time')
  await until(() => pool.stats().size === 12)
  const after = (await backends(pool)).map(({ pid }) => pid)
  t.same(
    after.filter((pid) => before.includes(pid)),
    [],
  )
  t.equal(pool.stats().errors, 0, 'that is no failure')
})

t.test('A busy connection that is past its lifetime is replaced when it comes back', async (t) => {
  const { pool } = openPool(t, { maxLifetimeMs: 100, max: 1 })
  const client = await pool.connect()
  const pid = await pidOf(client)
  await sleep(150)
  const next = pool.connect()
  client.release()
  const fresh = await next
  t.not(await pidOf(fresh), pid)
  fresh.release()
})

t.test('Idle connections above the minimum are closed, the minimum stays', async (t) => {
  const { pool } = openPool(t, { min: 2, max: 6, idleTimeoutMs: 200 })
  await pool.start()
  const clients = await Promise.all(Array.from({ length: 6 }, () => pool.connect()))
  for (const client of clients) client.release()
  t.equal(pool.stats().size, 6)
  await until(async () => (await backends(pool)).length === 2)
  await sleep(300)
  t.match(pool.stats(), { size: 2, idle: 2 })
})

t.test('A connection comes back as new or not at all', async (t) => {
  const { pool } = openPool(t, { max: 1 })
  const use = async (spoil: (client: PoolClient) => unknown) => {
    const client = await pool.connect()
    const pid = await pidOf(client)
    await spoil(client)
    client.release()
    const next = await pool.connect()
    const isSame = (await pidOf(next)) === pid
    next.release()
    return isSame
  }
  t.equal(await use(() => {}), true, 'untouched')
  t.equal(await use((client) => client.query('SELECT 1/0').catch(() => {})), true, 'after an error of the statement')
  t.equal(await use((client) => client.query('BEGIN')), false, 'in a transaction')
  t.equal(await use((client) => client.query('BEGIN; SELECT 1/0').catch(() => {})), false, 'in a failed transaction')
  t.equal(await use((client) => void client.query('SELECT pg_sleep(0.2)').catch(() => {})), false, 'busy')
  const client = await pool.connect()
  const pid = await pidOf(client)
  client.release(new Error('something is wrong with it'))
  const next = await pool.connect()
  t.not(await pidOf(next), pid, 'given back with an error')
  next.release()
  t.throws(() => next.release(), /already been released/)
  t.match(pool.stats(), { used: 0, idle: 1 })
})

t.test('A connection is kept when the server says only a moment after an error that it is ready', async (t) => {
  const proxy = await FaultProxy.start(t, cluster.url, { readyAfterMs: 40 })
  const { pool } = openPool(t, { url: proxy.url, max: 1 })
  const client = await pool.connect()
  const pid = await pidOf(client)
  await t.rejects(client.query('SELECT 1/0'), { code: '22012' })
  client.release()
  const next = await pool.connect()
  t.equal(await pidOf(next), pid)
  await t.rejects(next.query('BEGIN; SELECT 1/0'), { code: '22012' })
  next.release()
  const last = await pool.connect()
  t.not(await pidOf(last), pid, 'but not when it then says that a transaction has failed')
  last.release()
})

t.test('A new connection on which an error is expected is used as soon as the server is ready again', async (t) => {
  const proxy = await FaultProxy.start(t, cluster.url, { readyAfterMs: 40 })
  for (const url of [cluster.url, proxy.url]) {
    const { pool, seen } = openPool(t, {
      url,
      introduce: (client, done) => client.query('SELECT * FROM nowhere', () => done(null)),
    })
    t.same((await pool.query('SELECT 1 AS x')).rows, [{ x: 1 }])
    t.equal(seen.created.length, 1)
  }
})

t.test('A query without an answer in time fails, and its connection is gone', async (t) => {
  const { pool, seen } = openPool(t, { max: 1, queryTimeoutMs: 1_000 })
  const startedAt = performance.now()
  const error = await pool.query('SELECT pg_sleep(10)').catch((caught) => caught)
  const tookMs = performance.now() - startedAt
  t.ok(tookMs > 990 && tookMs < 9_000, `failed after ${tookMs.toFixed(0)} ms`)
  t.equal(translatePgError(error).code, 'timeout')
  t.equal(isSurelyNotApplied(error), false)
  t.same((await pool.query('SELECT 1 AS x')).rows, [{ x: 1 }], 'the next one is served')
  t.equal(seen.failed.length, 1)
  for (let i = 0; i < 5; i++) await pool.query('SELECT pg_sleep(0.25)')
  t.pass('many queries that together take longer are no matter')

  const database = openDatabase(pool, 'public')
  const transactionStartedAt = performance.now()
  await t.rejects(database.transaction().execute((trx) => sql`SELECT pg_sleep(10)`.execute(trx)))
  const transactionMs = performance.now() - transactionStartedAt
  t.ok(transactionMs < 1_900, `the rollback does not wait as well: ${transactionMs.toFixed(0)} ms`)
  t.same((await sql`SELECT 1 AS x`.execute(database)).rows, [{ x: 1 }])
})

t.test('After a failover the first refused write replaces every connection', async (t) => {
  const database = await createPrivateDatabase(t)
  await runSql(database.adminUrl, `ALTER DATABASE ${database.name} SET default_transaction_read_only = on`)
  const { pool } = openPool(t, { url: database.url, min: 3 })
  await pool.start()
  await runSql(database.adminUrl, `ALTER DATABASE ${database.name} RESET default_transaction_read_only`)
  const error = await pool.query('CREATE TABLE written (x int)').catch((caught) => caught)
  t.equal(translatePgError(error).code, 'database_read_only')
  await pool.query('CREATE TABLE written (x int)')
  const results = await Promise.all([1, 2, 3].map((x) => pool.query('INSERT INTO written VALUES ($1)', [x])))
  t.same(
    results.map(({ rowCount }) => rowCount),
    [1, 1, 1],
  )
  await until(() => pool.stats().idle >= 3)
})

t.test('Without a database callers are told at once, and it recovers by itself', async (t) => {
  const own = await startTestCluster(t)
  const { pool, seen } = openPool(t, { url: own.url, min: 2 })
  await pool.start()
  const held = await pool.connect()
  const hanging = held.query('SELECT pg_sleep(60)').catch((caught) => caught)
  await own.kill()
  const lost = await hanging
  held.release()
  t.equal(translatePgError(lost).code, 'database_unavailable')
  t.equal(isSurelyNotApplied(lost), false)
  await until(() => pool.stats().size === 0)
  const startedAt = performance.now()
  const refused = await pool.query('SELECT 1').catch((caught) => caught)
  t.ok(performance.now() - startedAt < 5_000)
  t.equal(translatePgError(refused).code, 'database_unavailable')
  t.equal(isSurelyNotApplied(refused), true)
  await sleep(300)
  const { errors } = pool.stats()
  t.ok(errors < 30, `it is not hammered: ${errors} attempts`)
  await own.start()
  await until(() => pool.stats().idle === 2)
  t.same((await pool.query('SELECT 1 AS x')).rows, [{ x: 1 }])
  t.ok(seen.failed.length > 0)
})

t.test('A server that never answers costs the connect time-out, and no place in the pool', async (t) => {
  const server = createServer(() => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const { pool, seen } = openPool(t, { url: `postgres://x@127.0.0.1:${port}/x`, max: 2, connectTimeoutMs: 200 })
  for (let round = 0; round < 3; round++) {
    const startedAt = performance.now()
    const errors = await Promise.all([1, 2].map(() => pool.connect().catch((caught) => caught)))
    const tookMs = performance.now() - startedAt
    t.ok(tookMs > 190 && tookMs < 10_000, `refused after ${tookMs.toFixed(0)} ms`)
    for (const error of errors) t.equal(translatePgError(error).code, 'database_unavailable')
  }
  t.match(pool.stats(), { size: 0, used: 0, waiting: 0, timeouts: { queue: 0, connect: 6 } })
  t.same(seen.timedOut, Array(6).fill('connect'))
})

t.test('A connection that is opened too late is closed, not leaked', async (t) => {
  const proxy = await FaultProxy.start(t, cluster.url, { answerAfterMs: 250 })
  const { pool } = openPool(t, { url: proxy.url, max: 2, connectTimeoutMs: 150 })
  await t.rejects(pool.connect())
  await t.rejects(pool.connect())
  await until(async () => proxy.open === 0 && (await backends(pool)).length === 0)
  t.match(pool.stats(), { size: 0, used: 0 })
})

t.test('A server without room for more leaves the pool with what it has', async (t) => {
  const own = await startTestCluster(t, {
    settings: { max_connections: '8', superuser_reserved_connections: '3', max_wal_senders: '0' },
    isDurable: false,
  })
  const { pool, seen } = openPool(t, { url: own.url, max: 10 })
  const results = await Promise.all(
    Array.from({ length: 60 }, (_, i) => pool.query('SELECT $1::int AS x, pg_sleep(0.02)', [i])),
  )
  t.ok(results.every(({ rows }, i) => rows[0]?.['x'] === i))
  t.ok(
    seen.failed.some((error) => (error as { code?: string }).code === '53300'),
    'it was refused connections',
  )
  await until(() => pool.stats().size <= 5)
})

t.test('Session settings are set where the session is ours, and left alone behind a pooler', async (t) => {
  const session = { statement_timeout: '1234', lock_timeout: '567' }
  const show = `SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock`
  const direct = openPool(t, { session }).pool
  t.same((await direct.query(show)).rows, [{ statement: '1234ms', lock: '567ms' }])
  t.equal(direct.isPooled, false)
  const proxy = await FaultProxy.start(t, cluster.url, { changesProcessId: true })
  const pooled = openPool(t, { session, url: proxy.url }).pool
  t.same((await pooled.query(show)).rows, [{ statement: '0', lock: '0' }])
  t.equal(pooled.isPooled, true)
})

t.test('Results keep what PostgreSQL said', async (t) => {
  const { pool } = openPool(t)
  const { rows } = await pool.query(
    `SELECT 9007199254740991::int8 AS large, 9007199254740992::int8 AS larger, -5::int8 AS negative,
       '2025-11-21 08:00:00.000123+00'::timestamptz AS micros, 'infinity'::timestamptz AS never, now() AS now,
       '{"n": 1.10, "big": 12345678901234567890}'::jsonb AS json, 0.1::numeric AS decimal, ARRAY[1, 2]::int8[] AS list`,
  )
  const { now, ...rest } = rows[0] as Record<string, string>
  t.same(rest, {
    large: 9007199254740991,
    larger: '9007199254740992',
    negative: -5,
    micros: '2025-11-21T08:00:00.000123Z',
    never: 'infinity',
    json: '{"n": 1.10, "big": 12345678901234567890}',
    decimal: '0.1',
    list: '{1,2}',
  })
  t.match(now, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  await pool.query('SELECT 1')
  const client = await pool.connect()
  await client.query(`SET timezone = 'Asia/Kathmandu'`)
  const there = await client.query(
    `SELECT '2025-01-01 00:00:00.5+00'::timestamptz AS a, '1900-01-01 00:00:00+00'::timestamptz AS b`,
  )
  client.release()
  t.same(there.rows, [{ a: '2025-01-01T00:00:00.500000Z', b: '1900-01-01T00:00:00.000000Z' }])
})

t.test('The end waits for those who are at work, turns the others away, and cuts what hangs', async (t) => {
  const { pool } = openPool(t, { max: 1 })
  const client = await pool.connect()
  const waiting = pool.connect().catch((caught) => caught)
  const working = client.query('SELECT pg_sleep(0.2)').then(() => client.release())
  const ended = pool.end(30_000)
  t.match(await waiting, { code: 'shutting_down' })
  await t.rejects(pool.connect(), { code: 'shutting_down' })
  await working
  await ended
  await pool.end()
  t.equal(pool.stats().size, 0)

  const hung = openPool(t, { max: 1 }).pool
  const stuck = await hung.connect()
  const hanging = stuck.query('SELECT pg_sleep(60)').catch((caught) => caught)
  const startedAt = performance.now()
  await hung.end(200)
  t.ok(performance.now() - startedAt < 10_000, 'it does not wait for the statement')
  t.equal(translatePgError(await hanging).code, 'database_unavailable')
  stuck.release()
})

t.test('What a connection is held for is measured', async (t) => {
  const { pool, seen } = openPool(t)
  t.match(pool.stats().acquire, { count: 0, p50_ms: null, max_ms: null })
  t.equal(pool.usage().hold_ms, null)
  for (let i = 0; i < 5; i++) await pool.query('SELECT pg_sleep(0.02)')
  const { hold_ms, acquisitions_per_second } = pool.usage()
  t.ok(hold_ms !== null && hold_ms > 19 && hold_ms < 5_000, `held for ${hold_ms} ms`)
  t.ok(acquisitions_per_second > 0 && acquisitions_per_second < 50)
  t.ok(
    seen.released.every((seconds) => seconds > 0.019 && seconds < 5),
    'seconds',
  )
  const { acquire } = pool.stats()
  t.ok((acquire.max_ms ?? 0) >= (acquire.p99_ms ?? 0) && (acquire.p99_ms ?? 0) >= (acquire.p50_ms ?? 1))
})

async function createPrivateDatabase(t: Teardown) {
  const name = `private_${Date.now()}`
  await runSql(cluster.adminUrl, `CREATE DATABASE ${name} OWNER annals`)
  t.teardown(() => runSql(cluster.adminUrl, `DROP DATABASE ${name} WITH (FORCE)`))
  return { name, url: cluster.url.replace('/annals?', `/${name}?`), adminUrl: cluster.adminUrl }
}
