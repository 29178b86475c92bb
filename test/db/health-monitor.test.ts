import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { AdminConnection } from '../../src/db/connections/admin-connection.ts'
import { HealthMonitor, type HealthQuery, type MigrationState } from '../../src/db/health-monitor.ts'
import { QueryTimeoutError } from '../../src/db/pg-errors.ts'
import { FaultProxy } from '../faults/fault-proxy.ts'
import { runSql, startTestCluster, type Teardown, withDatabase } from '../support/postgres.ts'

// Limits of a hang; with FAULT_LIMITS=contract the promised ones, on a machine that does nothing else.
const isContract = process.env['FAULT_LIMITS'] === 'contract'
const [AWAY_MS, BACK_MS] = isContract ? [3_000, 2_000] : [30_000, 30_000]

const cluster = await startTestCluster(t, { isDurable: false })
const HEAD = 'CREATE TABLE annals_head (position bigint NOT NULL, epoch uuid); INSERT INTO annals_head VALUES (42)'

function openAdmin(t: Teardown, url = cluster.url): AdminConnection {
  const admin = new AdminConnection({ url, applicationName: 'annals/test health' })
  t.teardown(() => admin.end())
  return admin
}

interface Watched {
  monitor: HealthMonitor
  /** Statements sent so far. */
  sent: string[]
  changes: string[]
  migrations: { state: MigrationState; asked: number }
}

function watch(t: Teardown, url = cluster.url, schema = 'public'): Watched {
  const admin = openAdmin(t, url)
  const sent: string[] = []
  const changes: string[] = []
  const migrations = { state: 'up_to_date' as MigrationState, asked: 0 }
  const query: HealthQuery = (text, values) => {
    sent.push(text)
    return admin.query(text, values)
  }
  const monitor = new HealthMonitor({
    query,
    schema,
    migrationState: async () => {
      migrations.asked++
      return migrations.state
    },
    onChange: (database) => changes.push(database),
  })
  t.teardown(() => monitor.stop())
  return { monitor, sent, changes, migrations }
}

/** Milliseconds until the monitor says so. */
async function until(monitor: HealthMonitor, database: string, withinMs = 60_000): Promise<number> {
  const startedAt = performance.now()
  while (monitor.snapshot().database !== database) {
    if (performance.now() - startedAt > withinMs) throw new Error(`not ${database} within ${withinMs} ms`)
    await sleep(10)
  }
  return performance.now() - startedAt
}

t.test('Before the first answer nothing is claimed', (t) => {
  const { monitor, sent } = watch(t)
  t.match(monitor.snapshot(), {
    database: 'unhealthy',
    eventCount: null,
    notReady: ['starting', 'database'],
    migrations: null,
    checks: { database: { status: 'unhealthy', error: null, checked_ms_ago: null } },
  })
  t.same(sent, [])
  t.end()
})

t.test('It tells the number of events, and every reason not to be ready', async (t) => {
  const { monitor, migrations } = watch(t)
  migrations.state = 'pending'
  await monitor.check()
  t.match(monitor.snapshot(), { database: 'healthy', eventCount: null, notReady: ['starting', 'migrations'] })
  monitor.markStarted()
  await runSql(cluster.url, HEAD)
  migrations.state = 'up_to_date'
  await monitor.check()
  t.match(monitor.snapshot(), {
    database: 'healthy',
    eventCount: 42,
    notReady: [],
    readOnly: false,
    migrations: 'up_to_date',
    serverVersion: /^\d+\.\d+$/,
    checks: { database: { error: null, read_only: false }, migrations: { status: 'up_to_date' } },
  })
  await runSql(cluster.url, 'UPDATE annals_head SET position = 43')
  await monitor.check()
  t.equal(monitor.snapshot().eventCount, 43)
  monitor.markDraining()
  t.same(monitor.snapshot().notReady, ['draining'])
})

t.test('A newer database, or an edited migration, does not stop a service that runs', async (t) => {
  for (const state of ['newer', 'drift'] as const) {
    const { monitor, migrations } = watch(t)
    migrations.state = state
    monitor.markStarted()
    await monitor.check()
    t.match(monitor.snapshot(), { notReady: [], migrations: state })
  }
})

t.test('A store whose head is gone, or that lies in another schema, is not ready', async (t) => {
  const elsewhere = watch(t, cluster.url, 'other "schema"')
  elsewhere.monitor.markStarted()
  await elsewhere.monitor.check()
  t.match(elsewhere.monitor.snapshot(), { database: 'healthy', eventCount: null, notReady: ['migrations'] })
  const { monitor } = watch(t)
  monitor.markStarted()
  await monitor.check()
  t.equal(monitor.snapshot().eventCount, 43)
  await runSql(cluster.url, 'ALTER TABLE annals_head RENAME TO hidden')
  await monitor.check()
  t.match(monitor.snapshot(), { database: 'healthy', eventCount: null, notReady: ['migrations'] })
  await runSql(cluster.url, 'ALTER TABLE hidden RENAME TO annals_head')
  await monitor.check()
  t.match(monitor.snapshot(), { eventCount: 43, notReady: [] })
})

t.test('One query per interval, however many ask', async (t) => {
  const { monitor, sent, migrations } = watch(t)
  await monitor.check()
  sent.length = 0
  await Promise.all(Array.from({ length: 50 }, () => monitor.check()))
  t.equal(sent.length, 1, 'askers share the answer that is on its way')
  for (let i = 0; i < 1_000; i++) monitor.snapshot()
  const startedAt = performance.now()
  await sleep(2_200)
  const seconds = (performance.now() - startedAt) / 1000
  t.ok(sent.length >= 2 && sent.length <= 2 + seconds, `${sent.length} queries in ${seconds.toFixed(1)} s`)
  t.equal(migrations.asked, 1, 'migrations that are up to date are asked for less often')
})

t.test('A database that only reads is healthy and not ready', async (t) => {
  await runSql(cluster.adminUrl, 'ALTER DATABASE annals SET default_transaction_read_only = on')
  const { monitor } = watch(t)
  monitor.markStarted()
  await monitor.check()
  t.match(monitor.snapshot(), { database: 'healthy', readOnly: true, notReady: ['read_only'], eventCount: 43 })
  await runSql(withDatabase(cluster.adminUrl, 'postgres'), 'ALTER DATABASE annals RESET default_transaction_read_only')
})

t.test('A database that stops answering is noticed, and its return', async (t) => {
  const { monitor, changes } = watch(t)
  monitor.markStarted()
  await monitor.check()
  t.equal(monitor.snapshot().database, 'healthy')
  cluster.pause()
  const awayMs = await until(monitor, 'unhealthy').finally(() => setTimeout(() => cluster.resume(), 1_300))
  t.ok(awayMs < AWAY_MS, `noticed after ${awayMs.toFixed(0)} ms`)
  t.match(monitor.snapshot(), {
    eventCount: null,
    notReady: ['database'],
    checks: { database: { status: 'unhealthy', error: 'timeout' } },
  })
  await sleep(1_300)
  const backMs = await until(monitor, 'healthy')
  t.ok(backMs < BACK_MS, `back after ${backMs.toFixed(0)} ms`)
  t.same(changes, ['unhealthy', 'healthy'])
})

t.test('A network that swallows everything is noticed as well', async (t) => {
  const proxy = await FaultProxy.start(t, cluster.url)
  const { monitor } = watch(t, proxy.url)
  await monitor.check()
  proxy.blackHole()
  const awayMs = await until(monitor, 'unhealthy')
  t.ok(awayMs < AWAY_MS, `noticed after ${awayMs.toFixed(0)} ms`)
  await proxy.heal()
  const backMs = await until(monitor, 'healthy')
  t.ok(backMs < BACK_MS, `back after ${backMs.toFixed(0)} ms`)
})

t.test('A database that was killed is noticed, and its return', async (t) => {
  const { monitor } = watch(t)
  await monitor.check()
  await cluster.kill()
  t.ok((await until(monitor, 'unhealthy')) < (isContract ? 1_500 : AWAY_MS))
  t.match(monitor.snapshot().checks, { database: { error: 'database_unavailable' } })
  await cluster.start()
  t.ok((await until(monitor, 'healthy')) < (isContract ? 1_000 : BACK_MS))
  monitor.stop()
  await sleep(3_050)
  t.equal(monitor.snapshot().database, 'unhealthy', 'an old answer says nothing')
})

t.test(
  'The connection beside the pool connects again, keeps its deadline, and runs one statement at a time',
  async (t) => {
    const admin = openAdmin(t)
    const pid = async () => (await admin.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid
    const first = await pid()
    t.equal(await pid(), first)
    await runSql(cluster.adminUrl, 'SELECT pg_terminate_backend($1)', [first])
    t.not(await pid(), first, 'a lost connection is not noticed')
    const startedAt = performance.now()
    const slow = admin.query('SELECT pg_sleep(10)').catch((error) => error)
    const behind = admin.query<{ x: number }>('SELECT 1 AS x')
    const error = await slow
    t.ok(error instanceof QueryTimeoutError || error.code === '57014', 'by our deadline or by that of the server')
    t.same((await behind).rows, [{ x: 1 }])
    t.ok(performance.now() - startedAt < 8_000, 'and not after the ten seconds of the statement')
    await t.rejects(admin.query('SELECT 1/0'), { code: '22012' })
    const name = await admin.query<{ name: string }>(`SELECT current_setting('application_name') AS name`)
    t.same(name.rows, [{ name: 'annals/test health admin' }])
    await admin.end()
    await t.rejects(admin.query('SELECT 1'))
  },
)
