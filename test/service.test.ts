// The service as a whole against real PostgreSQL: there, away, hung, newer.

import t from 'tap'
import { runMigrations } from '../src/db/migrations/migrator.ts'
import { createTestDatabase, runSql, startTestCluster } from './support/postgres.ts'
import { appendTo, ask, QUICK_LADDER, startTestService, until } from './support/service.ts'

t.test('it migrates when it is told to, serves, and counts exactly', async (t) => {
  const { url: DATABASE_URL } = await createTestDatabase(t)
  const { url, ready } = await startTestService(t, { DATABASE_URL, MIGRATE_ON_START: 'on' })
  await ready
  t.match(await ask(`${url}/health/ready`), { status: 200, body: { status: 'ready' } })
  for (let version = 1; version <= 3; version++) {
    t.match(await appendTo(url, 'order-1'), { status: 201, body: { version, position: version } })
    t.match(await ask(`${url}/health`), { status: 200, body: { status: 'ok', event_count: version } })
  }
  t.match(await ask(`${url}/migrations`), { status: 200, body: { status: 'up_to_date' } })
  t.match(await ask(`${url}/migrations`, { method: 'POST' }), { status: 403, body: { code: 'migrations_disabled' } })
  const pool = await ask(`${url}/pool`)
  t.match(pool, { status: 200, body: { max: 4, acquire: { count: Number }, server: { max_connections: Number } } })
  t.notMatch(JSON.stringify(pool.body), /password|postgres:\/\//)
  const metrics = await (await fetch(`${url}/metrics`)).text()
  t.match(metrics, 'annals_events_appended_total 3')
  t.match(metrics, 'annals_head_position 3')
  t.match(metrics, 'db_client_connection_max 4')
})

t.test('pending migrations are not applied unasked, and readiness says so', async (t) => {
  const { url: DATABASE_URL } = await createTestDatabase(t)
  const { url, ready, lines } = await startTestService(t, { DATABASE_URL, MIGRATIONS_OVER_HTTP: 'on' })
  await ready
  t.match(await ask(`${url}/health/ready`), { status: 503, body: { code: 'not_ready', reasons: ['migrations'] } })
  t.match(await ask(`${url}/health`), { status: 200, body: { status: 'degraded', event_count: null } })
  t.match(await ask(`${url}/migrations`), { status: 200, body: { status: 'pending', current: 0 } })
  t.match(await appendTo(url, 's'), { status: 503, body: { code: 'database_misconfigured', outcome: 'not_applied' } })
  t.ok(lines.some((line) => line.includes('annals migrate up')))

  t.match(await ask(`${url}/migrations`, { method: 'POST' }), { status: 200, body: { dry_run: false } })
  await until(async () => (await ask(`${url}/readyz`)).status === 200)
  t.match(await appendTo(url, 's'), { status: 201 })
})

t.test('a database that a newer version migrated is refused', async (t) => {
  const { url: DATABASE_URL } = await createTestDatabase(t)
  const first = await startTestService(t, { DATABASE_URL, MIGRATE_ON_START: 'on' })
  await first.ready
  await first.close()
  await runSql(
    DATABASE_URL,
    `INSERT INTO annals_migrations SELECT (jsonb_populate_record(m, '{"version": 9999, "name": "9999_future"}')).*
     FROM annals_migrations m ORDER BY version DESC LIMIT 1`,
  )
  const second = await startTestService(t, { DATABASE_URL })
  await t.rejects(second.ready, { name: 'MigrationError', message: /newer/ })
})

t.test('it starts without its database, and gets well by itself whenever the database comes back', async (t) => {
  const cluster = await startTestCluster(t)
  const DATABASE_URL = cluster.url
  await cluster.stop()
  const { url, ready } = await startTestService(t, { DATABASE_URL, MIGRATE_ON_START: 'on' })

  await until(async () => (await ask(`${url}/health/ready`)).status === 503)
  t.match((await ask(`${url}/health/ready`)).body, { code: 'not_ready', reasons: ['starting', 'database'] })
  t.match(await ask(`${url}/health`), {
    status: 200,
    body: { status: 'error', database: 'unhealthy', event_count: null },
  })
  t.match(await ask(`${url}/livez`), { status: 200 })
  const refused = await appendTo(url, 's')
  t.match(refused, { status: 503, body: { code: 'database_unavailable', outcome: 'not_applied', retryable: true } })
  t.ok(refused.headers.get('retry-after'))
  t.equal((await ask(`${url}/pool`)).status, 200, 'the operator is not blind')
  t.match(await ask(`${url}/migrations`), { status: 503, body: { code: 'database_unavailable' } })

  await cluster.start()
  await ready
  t.match(await appendTo(url, 's'), { status: 201, body: { position: 1 } })

  await cluster.kill()
  t.match(await appendTo(url, 's'), { status: 503, body: { retryable: true } })
  await until(async () => (await ask(`${url}/health/ready`)).status === 503)
  t.equal((await ask(`${url}/health/live`)).status, 200)

  await cluster.start()
  await until(async () => (await ask(`${url}/health/ready`)).status === 200)
  t.match(await appendTo(url, 't'), { status: 201 })
  t.match(await ask(`${url}/streams/s`), { status: 200, body: { version: 1 } })
})

t.test('a database that hangs fails requests in time, not probes, and does not hold up the end', async (t) => {
  const cluster = await startTestCluster(t)
  const service = await startTestService(t, {
    DATABASE_URL: cluster.url,
    MIGRATE_ON_START: 'on',
    ...QUICK_LADDER,
  })
  const { url } = service
  await service.ready
  t.match(await appendTo(url, 's'), { status: 201 })

  let followed = ''
  const following = (async () => {
    const { body } = await fetch(`${url}/events`, { headers: { accept: 'text/event-stream' } })
    for await (const chunk of body as ReadableStream<Uint8Array>) followed += Buffer.from(chunk).toString()
  })()
  await until(() => followed.includes('"position":1'))

  cluster.pause()
  const startedAt = performance.now()
  const hung = appendTo(url, 's')
  const read = ask(`${url}/streams/s/events`)
  await until(async () => {
    const askedAt = performance.now()
    const { status } = await ask(`${url}/health/ready`)
    t.ok(performance.now() - askedAt < 20_000, 'a probe never waits')
    return status === 503
  })
  t.equal((await ask(`${url}/health/live`)).status, 200)
  const [appended, answered] = [await hung, await read]
  t.equal(appended.status, 503)
  t.match(appended.body['outcome'], /unknown|not_applied/)
  t.equal(answered.status, 503)
  t.ok(performance.now() - startedAt < 30_000, 'requests fail in time')

  const inFlight = appendTo(url, 's')
  const closedAt = performance.now()
  await service.close()
  t.ok(performance.now() - closedAt < 30_000, `it ended in ${Math.round(performance.now() - closedAt)} ms of 3,000`)
  t.match((await inFlight).status, /^(0|503)$/)
  await following
  t.match(followed, /event: goodbye\ndata: {"reason":"shutting_down","position":1/, 'followers hear of it')
  cluster.resume()
})

t.test('the metrics port serves metrics alone, and needs no token', async (t) => {
  const { url: DATABASE_URL } = await createTestDatabase(t)
  const { url, lines } = await startTestService(t, {
    DATABASE_URL,
    METRICS_PORT: '0',
    ANNALS_TOKENS: 'metrics:0123456789abcdef',
  })
  const { metrics_url: metricsUrl } = JSON.parse(lines.find((line) => line.includes('"listening"')) as string)
  const scraped = await fetch(metricsUrl)
  t.equal(scraped.status, 200)
  t.match(await scraped.text(), '# TYPE db_client_connection_count gauge')
  t.equal(await (await fetch(metricsUrl, { method: 'HEAD' })).text(), '')
  t.equal((await fetch(metricsUrl, { method: 'OPTIONS' })).headers.get('allow'), 'GET, HEAD, OPTIONS')
  t.match(await ask(metricsUrl, { method: 'POST' }), { status: 405, body: { code: 'method_not_allowed' } })
  t.match(await ask(metricsUrl.replace('/metrics', '/health')), { status: 404, body: { code: 'route_not_found' } })
  t.match(await ask(`${metricsUrl}?a=1`), { status: 400, body: { errors: [{ pointer: 'query/a' }] } })
  t.match(await ask(metricsUrl, { headers: { accept: 'image/png' } }), {
    status: 406,
    body: { code: 'not_acceptable' },
  })
  t.equal((await ask(`${url}/metrics`)).status, 401, 'the main port asks for one')
})

t.test('the metrics tell how far consumers and snapshots are behind', async (t) => {
  const { url: DATABASE_URL } = await createTestDatabase(t)
  await runMigrations(DATABASE_URL)
  const put = (url: string, path: string, body: object) =>
    ask(url + path, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const first = await startTestService(t, { DATABASE_URL })
  await first.ready
  t.equal((await put(first.url, '/consumers/mailer', {})).status, 201)
  for (const stream of ['a', 'a', 'a', 'b', 'b', 'b', 'c']) await appendTo(first.url, stream)
  t.equal((await put(first.url, '/streams/a/snapshot', { version: 2, state: {} })).status, 201)

  // Asked at the start, then every now and then: a second service need not be waited for.
  const { url, ready } = await startTestService(t, { DATABASE_URL, SNAPSHOT_EVERY: '2' })
  await ready
  let text = ''
  await until(async () => {
    text = await (await fetch(`${url}/metrics`)).text()
    return text.includes('\nannals_snapshot_coverage_age_seconds ') && text.includes('\nannals_consumer_lag_events{')
  })
  for (const line of [
    'annals_consumer_lag_events{consumer="mailer"} 7',
    'annals_consumer_parked{consumer="mailer"} 0',
    'annals_snapshot_streams_checked 3',
    'annals_snapshot_streams_behind 1',
    'annals_snapshot_max_lag_events 3',
  ]) {
    t.match(text, `\n${line}\n`)
  }
  t.match(text, /\nannals_consumer_oldest_unacked_seconds\{consumer="mailer"\} \d/)
})
