// The service as an operator runs it: a process that is started, told to stop, and killed.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import pg from 'pg'
import t from 'tap'
import { isProcessAlive } from '../../src/db/embedded/folder-lock.ts'
import { readPidFile } from '../../src/db/embedded/postmaster.ts'
import { serverProcesses, signalAll } from '../../src/db/embedded/server-processes.ts'
import { createTestDatabase, testFolder } from '../support/postgres.ts'
import { appendTo, ask, spawnAnnals, spawnService, until } from '../support/service.ts'

const VERSION = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version

/** Long enough for everything that a test does while a request waits for a lock. */
const PATIENT = {
  DATABASE_LOCK_TIMEOUT_MS: '30000',
  DATABASE_STATEMENT_TIMEOUT_MS: '31000',
  DATABASE_QUERY_TIMEOUT_MS: '32000',
  REQUEST_TIMEOUT_MS: '33000',
  SHUTDOWN_TIMEOUT_MS: '40000',
}

t.test('SIGTERM: not ready at once, what is in flight finishes, what is new is refused, exit 0', async (t) => {
  const { url: DATABASE_URL } = await createTestDatabase(t)
  const child = await spawnService(t, { DATABASE_URL, MIGRATE_ON_START: 'on', ...PATIENT })
  await child.said('is ready at')
  const { url } = child
  t.equal((await appendTo(url, 's')).status, 201)

  const blocker = new pg.Client({ connectionString: DATABASE_URL })
  await blocker.connect()
  t.teardown(() => blocker.end())
  await blocker.query('BEGIN; SELECT FROM annals_head FOR UPDATE')
  const inFlight = appendTo(url, 's')
  await until(
    async () =>
      // Other test files use the same server.
      (
        await blocker.query(
          "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
        )
      ).rowCount === 1,
  )

  const idle = connect(Number(new URL(url).port), '127.0.0.1')
  await once(idle, 'connect')
  const idleClosed = once(idle, 'close')
  idle.resume()

  child.process.kill('SIGTERM')
  await until(() => child.stdout.some((line) => line.includes('"stopping"')))
  t.match(await ask(`${url}/health/ready`), { status: 503, body: { code: 'not_ready', reasons: ['draining'] } })
  t.match(await ask(`${url}/health/live`), { status: 200 })
  const refused = await appendTo(url, 's')
  t.match(refused, { status: 503, body: { code: 'shutting_down', outcome: 'not_applied', retryable: true } })
  t.equal(refused.headers.get('connection'), 'close')
  t.ok(refused.headers.get('retry-after'))
  t.match(await ask(`${url}/streams/s/events`), { status: 503, body: { code: 'shutting_down' } })
  t.equal(child.process.exitCode, null, 'it waits for what is in flight')

  await blocker.query('COMMIT')
  t.match(await inFlight, { status: 201, body: { version: 2 } })
  t.equal(await child.exit, 0)
  await idleClosed
  t.pass('and idle connections were closed')
})

t.test('readiness says no while requests are still served, when a delay is set', async (t) => {
  const { url: DATABASE_URL } = await createTestDatabase(t)
  const child = await spawnService(t, { DATABASE_URL, MIGRATE_ON_START: 'on', SHUTDOWN_DELAY_MS: '4000' })
  await child.said('is ready at')
  child.process.kill('SIGTERM')
  await until(() => child.stdout.some((line) => line.includes('"stopping"')))
  t.equal((await ask(`${child.url}/readyz`)).status, 503)
  const served = await appendTo(child.url, 's')
  t.equal(served.status, 201)
  t.equal(served.headers.get('connection'), 'close')
  t.equal(await child.exit, 0)
})

t.test('a client that does not read can not hold up the end', async (t) => {
  const { url: DATABASE_URL } = await createTestDatabase(t)
  const child = await spawnService(t, { DATABASE_URL, MIGRATE_ON_START: 'on', SHUTDOWN_TIMEOUT_MS: '2000' })
  await child.said('is ready at')
  const event = { type: 'Large', data: 'x'.repeat(900_000) }
  for (let i = 0; i < 20; i++) t.equal((await appendTo(child.url, 's', event)).status, 201)
  const slow = connect(Number(new URL(child.url).port), '127.0.0.1')
  slow.on('error', () => {})
  t.teardown(() => slow.destroy())
  slow.write('GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n')
  await once(slow, 'readable')
  const startedAt = performance.now()
  child.process.kill('SIGTERM')
  t.equal(await child.exit, 0)
  const tookMs = performance.now() - startedAt
  // It takes nothing for as long as the test lives.
  t.ok(tookMs > 500 && tookMs < 20_000, `it was given time, and ended after ${Math.round(tookMs)} of 2,000 ms`)
})

t.test('a second signal ends it at once', async (t) => {
  const { url: DATABASE_URL } = await createTestDatabase(t)
  const child = await spawnService(t, { DATABASE_URL, MIGRATE_ON_START: 'on', SHUTDOWN_DELAY_MS: '60000' })
  await child.said('is ready at')
  const startedAt = performance.now()
  child.process.kill('SIGINT')
  await until(() => child.stdout.some((line) => line.includes('"stopping"')))
  child.process.kill('SIGINT')
  t.equal(await child.exit, 'SIGINT')
  t.ok(performance.now() - startedAt < 60_000)
})

t.test('it can be stopped while it waits for its database', async (t) => {
  const child = await spawnService(t, { DATABASE_URL: 'postgres://annals@127.0.0.1:1/annals' })
  t.equal((await ask(`${child.url}/livez`)).status, 200)
  child.process.kill('SIGTERM')
  t.equal(await child.exit, 0)
})

t.test('out of nothing it starts a PostgreSQL of its own, which survives kill -9', async (t) => {
  const folder = testFolder(t)
  const env = { DATA_DIR: `${folder}/data` }
  const first = await spawnService(t, env, folder)
  await first.said('Ctrl-C')
  const greeting = first.stderr.join('\n')
  for (const shown of [
    `Annals ${VERSION} is ready at ${first.url}`,
    `${folder}/data`,
    'psql -h',
    `${first.url}/docs`,
    'curl ',
  ]) {
    t.match(greeting, shown)
  }
  for (const line of first.stdout) t.doesNotThrow(() => JSON.parse(line), 'standard output is JSON lines')
  t.match(await appendTo(first.url, 's'), { status: 201 })
  t.match(await ask(`${first.url}/migrations`, { method: 'POST' }), { status: 200, body: { applied: [] } })

  const second = spawnAnnals(t, ['serve'], { ...env, PORT: '0' }, folder)
  t.equal(await second.exit, 1)
  t.match(second.stderr.join('\n'), /^annals: .*(in use|another)/, 'two on one folder: the second says so')

  first.process.kill('SIGKILL')
  await first.exit
  const third = await spawnService(t, env, folder)
  await third.said('is ready at')
  t.match(await ask(`${third.url}/streams/s`), { status: 200, body: { version: 1 } })
  third.process.kill('SIGTERM')
  t.equal(await third.exit, 0)

  // The server of an existing folder is started before anything else is known.
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const fourth = spawnAnnals(t, ['serve'], { ...env, PORT: String((taken.address() as AddressInfo).port) }, folder)
  t.equal(await fourth.exit, 1)
  t.match(fourth.stderr.join('\n'), /^annals: port \d+ is in use/)
  t.equal(readPidFile(`${folder}/data/postgres`), undefined, 'a service that can not be leaves no server behind')
})

t.test('a PostgreSQL of its own that is frozen does not hold up the end, and leaves nothing behind', async (t) => {
  const folder = testFolder(t)
  const env = { DATA_DIR: `${folder}/data` }
  const child = await spawnService(t, env, folder)
  await child.said('is ready at')
  t.equal((await appendTo(child.url, 's')).status, 201)
  const { body } = await fetch(`${child.url}/events`, { headers: { accept: 'text/event-stream' } })
  const frozen = serverProcesses(readPidFile(`${folder}/data/postgres`)?.pid ?? 0)
  t.ok(frozen.length > 5, `${frozen.length} processes`)
  signalAll(frozen, 'SIGSTOP')
  t.teardown(() => signalAll(frozen, 'SIGKILL'))
  const inFlight = appendTo(child.url, 's')
  const startedAt = performance.now()
  child.process.kill('SIGTERM')
  t.match(await new Response(body).text(), /event: goodbye\ndata: {"reason":"shutting_down"/)
  t.match((await inFlight).status, /^(0|503)$/)
  t.equal(await child.exit, 0)
  const tookMs = performance.now() - startedAt
  t.ok(tookMs < 60_000, `it ended after ${Math.round(tookMs)} ms`)
  t.same(frozen.filter(isProcessAlive), [])

  const next = await spawnService(t, env, folder)
  await next.said('is ready at')
  t.match(await ask(`${next.url}/streams/s`), { status: 200 })
  next.process.kill('SIGTERM')
  t.equal(await next.exit, 0)
})

t.test('a start that can not be is one line on standard error and exit 1', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const secret = 'a-secret-that-is-shown-nowhere'
  const DATABASE_URL = 'postgres://127.0.0.1:1/x'
  const cases: [Record<string, string>, RegExp][] = [
    [{ DATABASE_URL, PORT: String(port) }, /^annals: port \d+ is in use: .*set PORT/],
    [{ DATABASE_URL, PORT: '0', METRICS_PORT: String(port) }, /^annals: port \d+ is in use: .*set METRICS_PORT/],
    [{ HOST: '0.0.0.0' }, /^annals: HOST is "0\.0\.0\.0".*set ANNALS_TOKENS/],
    [{ ANNALS_TOKENS: secret }, /^annals: ANNALS_TOKENS: entry 1 must be/],
    [{ DATABASE_URL: `mysql://u:${secret}@h/d` }, /^annals: DATABASE_URL must be a URL/],
  ]
  await Promise.all(
    cases.map(async ([env, message]) => {
      const child = spawnAnnals(t, ['serve'], env, '/')
      t.equal(await child.exit, 1)
      t.equal(child.stderr.length, 1, child.stderr.join('\n'))
      t.match(child.stderr[0], message)
      t.notMatch(child.stderr.join('\n'), secret)
    }),
  )
})

t.test('bad usage is told, and exits with 64', async (t) => {
  const run = async (...args: string[]) => {
    const child = spawnAnnals(t, args)
    return { code: await child.exit, stdout: child.stdout.join('\n'), stderr: child.stderr.join('\n') }
  }
  const [nothing, unknown, version, openapi] = await Promise.all([
    run(),
    run('nonsense'),
    run('--version'),
    run('openapi'),
  ])
  t.match(nothing, { code: 64, stderr: /Usage: annals[\s\S]*serve[\s\S]*import[\s\S]*export/ })
  t.match(unknown, { code: 64, stderr: /unknown command 'nonsense'/ })
  t.match(version, { code: 0, stdout: VERSION })
  t.match(JSON.parse(openapi.stdout), { openapi: '3.1.0', info: { version: VERSION } })
})
