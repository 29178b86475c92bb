import t from 'tap'
import { AdminConnection } from '../../src/db/connections/admin-connection.ts'
import { MeasuredPool } from '../../src/db/connections/pool.ts'
import { applicationName } from '../../src/db/connections/pool-options.ts'
import { poolReport } from '../../src/db/connections/pool-report.ts'
import { exposition } from '../../src/metrics/exposition.ts'
import { poolMetrics } from '../../src/metrics/pool.ts'
import { createRegistry } from '../../src/metrics/registry.ts'
import { startTestApp } from '../support/app.ts'
import { runSql, startTestCluster } from '../support/postgres.ts'
import { until } from '../support/service.ts'

const ADMIN = { authorization: 'Bearer an-admin-token-of-16' }
const READER = { authorization: 'Bearer a-reader-token-of-16' }

const cluster = await startTestCluster(t, { isDurable: false, settings: { max_connections: '60' } })
const registry = createRegistry()
const name = applicationName('test')
const observer = poolMetrics(registry, () => pool.stats())
const pool = new MeasuredPool({
  url: cluster.url,
  max: 4,
  min: 2,
  acquireTimeoutMs: 3_000,
  connectTimeoutMs: 30_000,
  idleTimeoutMs: 60_000,
  maxLifetimeMs: 600_000,
  testAfterIdleMs: 1_000,
  queryTimeoutMs: 5_000,
  session: { statement_timeout: '4000' },
  applicationName: name,
  observer,
})
const admin = new AdminConnection({ url: cluster.url, applicationName: name })
t.teardown(async () => {
  await pool.end(100)
  await admin.end()
})
await pool.start()
let meanRequestMs: number | null = null
const report = poolReport({ pool, admin, profile: 'production', meanRequestMs: () => meanRequestMs })
const app = await startTestApp({
  tokens: 'admin:an-admin-token-of-16,read:a-reader-token-of-16',
  parts: { pool: report },
})
t.teardown(app.close)

interface Answer {
  status: number
  headers: Headers
  // oxlint-disable-next-line typescript/no-explicit-any -- answers of many shapes are compared
  body: any
}

async function get(path: string, headers: Record<string, string> = ADMIN): Promise<Answer> {
  const response = await fetch(app.url + path, { headers })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

t.test('The pool is shown as the server sees it', async (t) => {
  const held = await pool.connect()
  const { status, headers, body } = await get('/pool')
  t.equal(status, 200)
  t.equal(headers.get('cache-control'), 'no-store')
  const [seen] = await runSql(
    cluster.adminUrl,
    `SELECT count(*)::int AS size, (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') - 1 AS used
     FROM pg_stat_activity WHERE application_name = $1`,
    [name],
  )
  t.match(body, {
    size: seen?.['size'],
    idle: 1,
    used: 1,
    waiting: 0,
    oldest_wait_ms: null,
    max: 4,
    min: 2,
    timeouts: { queue: 0, connect: 0 },
    errors: 0,
    settings: { acquire_timeout_ms: 3_000, session: { statement_timeout: '4000' }, application_name: name },
    server: { max_connections: 60, reserved: 3, used: seen?.['used'] },
  })
  t.equal(body.acquire.count, 1)
  t.equal(typeof body.acquire.p99_ms, 'number')
  t.notMatch(JSON.stringify(body), /postgres:\/\//, 'no URL, so no password')
  held.release()
})

t.test('It answers while the pool is exhausted, and counts who was turned away', async (t) => {
  const held = await Promise.all([1, 2, 3, 4].map(() => pool.connect()))
  await t.rejects(pool.connect(), { code: 'pool_exhausted' })
  const waiting = pool.connect().catch((error) => error)
  const { body } = await get('/pool')
  t.match(body, { size: 4, idle: 0, used: 4, waiting: 1, timeouts: { queue: 1 }, server: { max_connections: 60 } })
  t.ok(Number.isInteger(body.oldest_wait_ms))
  for (const client of held) client.release()
  ;(await waiting).release()
})

t.test('Sizing gives the worked example, the band and the room on the server', async (t) => {
  const { status, body } = await get('/pool/sizing?requests_per_second=1000&hold_ms=10&request_ms=50&cores=4')
  t.equal(status, 200)
  const numbers = body.formulas.map(({ name, connections }: { name: string; connections: number }) => [
    name,
    connections,
  ])
  t.same(numbers, [
    ['seed', 205],
    ['littles_law', 15],
    ['cores_and_spindles', 9],
  ])
  t.match(body, {
    band: { min: 50, max: 100 },
    recommended: 15,
    server_limit: { max_connections: 60, reserve: 19, needed: 23, fits: true },
  })
  const many = await get('/pool/sizing?replicas=20&requests_per_second=1&hold_ms=1&buffer=0&spindles=2&cores=8')
  t.match(many.body.server_limit, { needed: 118, fits: false, largest_max: 1 })
  t.equal(many.body.formulas[2].connections, 18)
})

t.test('What is not given is measured', async (t) => {
  const before = await get('/pool/sizing')
  t.match(before.body.measured, { request_ms: null })
  t.equal(before.body.formulas[0].connections, null, 'no request was measured yet')
  meanRequestMs = 12.3456
  for (let i = 0; i < 5; i++) await pool.query('SELECT pg_sleep(0.01)')
  const { body } = await get('/pool/sizing')
  t.equal(body.measured.request_ms, 12.346)
  t.ok(body.measured.requests_per_second > 0 && body.measured.hold_ms > 0 && body.measured.cores >= 1)
  const { requests_per_second: rate, hold_ms: hold } = body.measured
  t.equal(body.formulas[1].connections, Math.ceil((rate * hold) / 1000) + 5)
  t.ok(body.formulas[0].connections > 5)
})

t.test('Bad parameters and missing rights are refused', async (t) => {
  for (const query of [
    'buffer=-1',
    'hold_ms=x',
    'request_ms=0',
    'replicas=0',
    'cores=1.5',
    'unknown=1',
    'buffer=1&buffer=2',
  ]) {
    const { status, body } = await get(`/pool/sizing?${query}`)
    t.match([status, body.code, body.errors[0].pointer], [400, 'validation_failed', `query/${query.split('=')[0]}`])
  }
  for (const path of ['/pool', '/pool/sizing']) {
    t.match(await get(path, READER), { status: 403, body: { code: 'forbidden' } })
    t.match(await get(path, {}), { status: 401, body: { code: 'unauthenticated' } })
  }
})

t.test('Metrics say the same, with a bucket at 0.1 s, and don’t need the database', async (t) => {
  await cluster.kill()
  let text = ''
  // What is taken for a moment is counted as acquired, and not yet as used.
  await until(async () => {
    text = await exposition(registry, 'prometheus')
    return pool.stats().used === 0
  })
  const value = (series: string) =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${series} `))
        ?.split(' ')[1],
    )
  const stats = pool.stats()
  t.equal(value('db_client_connection_max'), 4)
  t.equal(value('db_client_connection_idle_min'), 2)
  t.equal(value('db_client_connection_pending_requests'), 0)
  t.equal(value('db_client_connection_count{state="idle"}'), stats.idle)
  t.equal(value('db_client_connection_count{state="used"}'), stats.used)
  t.equal(value('db_client_connection_wait_time_seconds_count'), stats.acquire.count)
  t.equal(value('db_client_connection_use_time_seconds_count'), stats.acquire.count)
  t.ok(value('db_client_connection_wait_time_seconds_bucket{le="0.1"}') > 0)
  t.ok(value('db_client_connection_create_time_seconds_count') >= 4)
  t.ok(value('db_client_connection_use_time_seconds_sum') > 0.05)
  t.equal(value('db_client_connection_timeouts_total{kind="queue"}'), 1)
  t.equal(value('db_client_connection_timeouts_total{kind="connect"}'), 0)
  t.ok(value('db_client_connection_errors_total') >= 0)
})

t.test('It answers without a database too', async (t) => {
  await t.rejects(pool.query('SELECT 1'))
  // Now and then one is taken for a moment: to find out that it is dead, or to have the minimum again.
  await until(async () => {
    const { status, body } = await get('/pool')
    t.match([status, body.server], [200, null])
    t.ok(body.errors > 0)
    return body.used === 0
  })
  const sizing = await get('/pool/sizing?requests_per_second=10&hold_ms=5&request_ms=10')
  t.match(sizing, { status: 200, body: { server_limit: null, recommended: 6 } })
})
