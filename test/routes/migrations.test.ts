import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { MIGRATIONS_FOLDER, readMigrations } from '../../src/db/migrations/migration-files.ts'
import { MigrationSession } from '../../src/db/migrations/migration-session.ts'
import { migrationsForHttp } from '../../src/db/migrations/migrations-for-http.ts'
import { Migrator } from '../../src/db/migrations/migrator.ts'
import { startTestApp } from '../support/app.ts'
import { createTestDatabase, testFolder } from '../support/postgres.ts'

const LATEST = readMigrations(MIGRATIONS_FOLDER).length
const database = await createTestDatabase(t)
const client = new pg.Client({ connectionString: database.url })
client.on('error', () => {})
await client.connect()
t.teardown(() => client.end())

let folder = MIGRATIONS_FOLDER
let isEnabled = true
const bound = () =>
  migrationsForHttp(new Migrator({ connectionString: database.url, folder }), (text, values) =>
    client.query(text, values),
  )
const app = await startTestApp({
  tokens: 'admin:an-admin-token-123,read+append+metrics:a-lesser-token-1',
  parts: {
    migrations: {
      migrations: { status: () => bound().status(), up: (options) => bound().up(options) },
      isHttpEnabled: () => isEnabled,
    },
  },
})
t.teardown(() => app.close())

async function ask(method: 'GET' | 'POST' | 'HEAD', body?: string, token = 'an-admin-token-123') {
  const response = await fetch(`${app.url}/migrations`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body }),
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
  }
}

t.test('What is pending is shown, tried and applied over HTTP', async (t) => {
  const pending = await ask('GET')
  t.match(pending, { status: 200, json: { status: 'pending', current: 0, latest: LATEST } })
  t.equal(pending.headers.get('cache-control'), 'no-store')

  const tried = await ask('POST', '{"dry_run":true}')
  t.match(tried, { status: 200, json: { dry_run: true } })
  t.equal((tried.json['applied'] as unknown[]).length, LATEST)
  t.equal((await ask('GET')).json['status'], 'pending')

  const applied = await ask('POST', '{"dry_run":false}')
  t.match(applied, { status: 200, json: { dry_run: false, applied: [{ version: 1, name: '0001_events' }] } })
  t.strictSame((await ask('POST')).json, { applied: [], dry_run: false }, 'a request without a body applies too')

  const { status, json, text } = await ask('GET')
  t.equal(status, 200)
  t.strictSame(Object.keys(json), ['status', 'current', 'latest', 'migrations'])
  t.match(json, { status: 'up_to_date', current: LATEST, latest: LATEST })
  const [first] = json['migrations'] as Record<string, unknown>[]
  t.match(first, {
    version: 1,
    name: '0001_events',
    description: 'Create the table of events',
    breaking: null,
    state: 'applied',
    checksum: /^[0-9a-f]{64}$/,
    applied_checksum: first?.['checksum'],
    applied_at: /^\d{4}-\d\d-\d\dT.*Z$/,
    duration_ms: Number,
    failure: null,
  })
  t.notMatch(text, /applied_by/, 'who, and from which host, is not for the network')
  t.equal((await ask('HEAD')).status, 200)
})

t.test('Only an administrator sees or applies migrations, and only where that is switched on', async (t) => {
  for (const method of ['GET', 'POST'] as const) {
    t.match(await ask(method, undefined, 'a-lesser-token-1'), { status: 403, json: { code: 'forbidden' } })
    t.match(await ask(method, undefined, 'nobody-knows-this'), { status: 401, json: { code: 'unauthenticated' } })
  }
  isEnabled = false
  t.match(await ask('POST', '{}'), { status: 403, json: { code: 'migrations_disabled' } })
  t.match(await ask('GET'), { status: 200 })
  isEnabled = true
})

t.test('A body that is not understood is refused', async (t) => {
  t.match(await ask('POST', '{"dry_run":"yes"}'), { status: 400, json: { errors: [{ pointer: '/dry_run' }] } })
  t.match(await ask('POST', '{"dryRun":true}'), { status: 400, json: { errors: [{ pointer: '/dryRun' }] } })
  t.match(await ask('POST', '{'), { status: 400, json: { code: 'malformed_request' } })
})

t.test('While another process migrates the answer is 409 and names it', async (t) => {
  const other = await MigrationSession.open({ connectionString: database.url, schema: 'public', log() {} })
  t.teardown(() => other.close())
  await other.lock(1_000)
  const { pid } = (await other.query('SELECT pg_backend_pid() AS pid')).rows[0] as { pid: number }
  t.match(await ask('POST', '{}'), {
    status: 409,
    json: {
      code: 'migrations_locked',
      retryable: true,
      outcome: 'not_applied',
      holder: { pid, application_name: `annals migrate (process ${process.pid})`, since: /Z$/ },
    },
  })
})

t.test('Migrations that differ from those of the database are shown, and nothing is applied', async (t) => {
  folder = testFolder(t)
  cpSync(MIGRATIONS_FOLDER, folder, { recursive: true })
  const path = join(folder, '0002_snapshots.sql')
  writeFileSync(path, `${readFileSync(path, 'utf8')}-- changed\n`)
  t.match((await ask('GET')).json, { status: 'drift', migrations: [{ state: 'applied' }, { state: 'changed' }] })
  t.match(await ask('POST', '{}'), { status: 409, json: { code: 'migration_drift' } })
  folder = MIGRATIONS_FOLDER
})
