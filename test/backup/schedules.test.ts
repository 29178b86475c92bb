import { join } from 'node:path'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { BackupError } from '../../src/backup/backup-error.ts'
import { openDestination } from '../../src/backup/destinations/destinations.ts'
import { DEFAULT_POLICY, type Schedule } from '../../src/backup/policy/policy.ts'
import { missedDue, nextDue } from '../../src/backup/schedules/due.ts'
import { cronJobs, crontab, s3Lifecycle } from '../../src/backup/schedules/for-others.ts'
import { activeSchedules, runSchedule } from '../../src/backup/schedules/run-schedule.ts'
import { Scheduler } from '../../src/backup/schedules/scheduler.ts'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { createTestDatabase, runSql, type Teardown, testFolder } from '../support/postgres.ts'
import { ask, spawnAnnals, startTestService, until } from '../support/service.ts'

const BERLIN = 'Europe/Berlin'
const at = (text: string) => new Date(text)
const context = () => ({ signal: new AbortController().signal, progress() {}, log() {} })

t.test('A schedule comes due once a day, on the days when clocks change too', async (t) => {
  const days = (cron: string, from: string, count: number) => {
    const due: string[] = []
    for (let last = at(from); due.length < count; ) {
      last = nextDue({ cron, timezone: BERLIN }, last) as Date
      due.push(last.toISOString().slice(0, 16))
    }
    return due
  }
  // At 02:00 clocks go to 03:00: 02:30 is not there, and the run comes half an hour later.
  t.same(days('30 2 * * *', '2026-03-27T12:00Z', 3), ['2026-03-28T01:30', '2026-03-29T01:00', '2026-03-30T00:30'])
  // At 03:00 clocks go back to 02:00: 02:30 is there twice, and the first one counts.
  t.same(days('30 2 * * *', '2026-10-23T12:00Z', 4), [
    ...['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30', '2026-10-27T01:30'],
  ])
  t.same(days('0 3 * * 0', '2026-03-23T00:00Z', 2), ['2026-03-29T01:00', '2026-04-05T01:00'])
})

t.test('However many runs were missed, the last one is caught up', async (t) => {
  const daily = { cron: '0 2 * * *', timezone: 'UTC' }
  const cases: [since: string, now: string, due: string | undefined][] = [
    ['2026-01-01T02:00Z', '2026-01-01T02:00Z', undefined],
    ['2026-01-01T02:00Z', '2026-01-02T01:59:59.999Z', undefined],
    ['2026-01-01T02:00Z', '2026-01-02T02:00Z', '2026-01-02T02:00Z'],
    ['2026-01-01T02:00Z', '2026-01-02T02:00:00.500Z', '2026-01-02T02:00Z'],
    ['2026-01-01T02:00Z', '2026-01-09T12:00Z', '2026-01-09T02:00Z'],
    ['2026-01-09T12:00Z', '2026-01-09T13:00Z', undefined],
    // A clock that was set back runs nothing twice.
    ['2026-01-09T12:00Z', '2026-01-08T13:00Z', undefined],
  ]
  for (const [since, now, due] of cases) {
    t.same(missedDue(daily, at(since), at(now)), due === undefined ? undefined : at(due), `${since} to ${now}`)
  }
  const autumn = { cron: '30 2 * * *', timezone: BERLIN }
  t.equal(
    missedDue(autumn, at('2026-10-25T00:30Z'), at('2026-10-25T01:45Z')),
    undefined,
    'the second 02:30 of the night is no run',
  )
})

const EVERY_HOUR: Schedule = { name: 'hourly', cron: '0 * * * *', task: 'prune' }

async function newStore(t: Teardown) {
  const { url } = await createTestDatabase(t)
  await runMigrations(url)
  return { url, schema: 'public' }
}

t.test('Of two services one runs what is due, the other takes over, and a missed run is caught up once', async (t) => {
  const store = await newStore(t)
  let now = at('2026-01-01T00:30Z')
  const runs: string[] = []
  const said: string[] = []
  const start = (name: string) => {
    const scheduler = new Scheduler({
      ...{ store, timezone: 'UTC', schedules: [EVERY_HOUR], now: () => now, checkMs: 20 },
      run: async () => void runs.push(name),
      tell: (line) => said.push(line),
    })
    t.teardown(() => scheduler.stop())
    scheduler.start()
    return scheduler
  }
  const record = async () =>
    (await runSql(store.url, 'SELECT due_at, state, error FROM annals_schedules'))[0] as
      | { due_at: Date; state: string | null; error: string | null }
      | undefined
  const leader = start('a')
  await until(async () => (await record()) !== undefined)
  start('b')
  const rounds = () => new Promise((resolve) => setTimeout(resolve, 300))
  await rounds()
  t.same(runs, [], 'a schedule that is new has missed nothing')

  now = at('2026-01-01T01:00:00.100Z')
  await until(async () => (await record())?.state === 'succeeded')
  await rounds()
  t.same(runs, ['a'])
  t.match(await record(), { due_at: at('2026-01-01T01:00Z'), error: null })

  await leader.stop()
  now = at('2026-01-03T10:10Z')
  await until(async () => (await record())?.due_at.getTime() === at('2026-01-03T10:00Z').getTime())
  await until(async () => (await record())?.state === 'succeeded')
  await rounds()
  t.same(runs, ['a', 'b'], '57 were missed, and one was caught up')

  // The lock goes with its connection.
  await runSql(
    store.url,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'annals schedules%'`,
  )
  now = at('2026-01-03T11:10Z')
  await until(() => runs.length === 3)
  t.ok(
    said.some((line) => line.startsWith('schedules do not run')),
    'and that it was lost was said',
  )
})

t.test(
  'A run that fails is written down, one that meets another job stays due, and one that died is failed',
  async (t) => {
    const store = await newStore(t)
    await runSql(
      store.url,
      `INSERT INTO annals_schedules (name, due_at, started_at, state) VALUES ('hourly', '2026-01-01T00:00Z', now(), 'running'), ('gone', now(), now(), 'running')`,
    )
    let attempts = 0
    const scheduler = new Scheduler({
      ...{ store, timezone: 'UTC', schedules: [EVERY_HOUR], now: () => at('2026-01-01T01:10Z'), checkMs: 20 },
      run: async () => {
        attempts++
        if (attempts < 3) throw new BackupError('locked', 'another one')
        throw new BackupError('failed', 'the disk is full')
      },
      tell() {},
    })
    scheduler.start()
    await until(() => attempts === 3)
    await scheduler.stop()
    t.match(await runSql(store.url, 'SELECT name, state, error, due_at FROM annals_schedules ORDER BY name'), [
      { name: 'gone', state: 'failed', error: 'its process ended' },
      { name: 'hourly', state: 'failed', error: 'the disk is full', due_at: at('2026-01-01T01:00Z') },
    ])
    t.equal(attempts, 3, 'and a failed run is not tried again before it is due')
  },
)

t.test('The built-in schedules add, start anew, go off-site and prune', async (t) => {
  const store = await newStore(t)
  await runSql(
    store.url,
    `INSERT INTO events (stream_id, version, event_type, event_data) SELECT 'a', i, 'Made', '{}' FROM generate_series(1, 50) AS i`,
  )
  const folder = testFolder(t)
  const local = openDestination(join(folder, 'local'))
  const offsite = openDestination(join(folder, 'offsite'))
  const policy = DEFAULT_POLICY
  const names = (place: typeof offsite | undefined) =>
    activeSchedules({ policy, offsite: place }).map(({ name }) => name)
  t.same(names(undefined), ['daily', 'weekly-full', 'prune'])
  t.same(names(offsite), ['daily', 'weekly-full', 'weekly-offsite', 'prune'])
  const run = (name: string) =>
    runSchedule(
      policy.schedules.find((each) => each.name === name) as Schedule,
      { store, policy, local, offsite },
      context(),
    )
  const basesAt = async (place: typeof offsite) => (await place.list()).backups.map(({ manifest }) => manifest.base)

  await run('daily')
  await run('daily')
  const [first] = (await local.list()).backups.map(({ manifest }) => manifest.id)
  t.same(await basesAt(local), [null, first], 'the first is whole, the second adds to it')
  await run('weekly-full')
  await runSql(store.url, 'UPDATE annals_head SET epoch = gen_random_uuid()')
  await run('daily')
  t.same(await basesAt(local), [null, first, null, null], 'and so is the first one of another history')
  await run('weekly-offsite')
  t.same(await basesAt(offsite), [null])
  await run('prune')
  const passed = await runSql(
    store.url,
    `SELECT count(*)::int FROM annals_jobs WHERE kind = 'verify' AND state = 'succeeded'`,
  )
  t.same(passed, [{ count: 5 }], 'each was verified')
  t.equal((await basesAt(local)).length, 4, 'all are young')
})

t.test('GET /schedules tells what comes and how it went, and a service runs them only when told', async (t) => {
  const store = await newStore(t)
  const env = { DATABASE_URL: store.url, LOG_LEVEL: 'silent', BACKUP_DIR: join(testFolder(t), 'backups') }
  const off = await startTestService(t, env)
  await off.ready
  t.match((await ask(`${off.url}/schedules`)).body, {
    is_on: false,
    timezone: 'UTC',
    schedules: [
      { name: 'daily', type: 'archive', incremental: true, to: 'local', last: null },
      {},
      { name: 'prune', type: null },
    ],
  })
  t.same(await runSql(store.url, 'SELECT FROM annals_schedules'), [])
  const on = await startTestService(t, { ...env, SCHEDULES: 'on' })
  await on.ready
  await until(async () => (await runSql(store.url, 'SELECT FROM annals_schedules')).length === 3)
  await on.close()
  // A day without a leader.
  await runSql(store.url, `UPDATE annals_schedules SET due_at = now() - interval '1 day' WHERE name = 'daily'`)
  const again = await startTestService(t, { ...env, SCHEDULES: 'on' })
  await again.ready
  const daily = async () =>
    (
      (await ask(`${again.url}/schedules`)).body['schedules'] as { last: { state: string } | null; next_at: string }[]
    )[0]
  await until(async () => (await daily())?.last?.state === 'succeeded')
  t.ok(Date.parse((await daily())?.next_at as string) > Date.now())
  await again.close()
  // What is known is read from the catalogue, so another service knows it too.
  const later = await startTestService(t, env)
  await later.ready
  const scraped = async () => await (await fetch(`${later.url}/metrics`)).text()
  await until(async () => (await scraped()).includes('backup_last_success_timestamp_seconds{type="archive"}'))
  const text = await scraped()
  const valueOf = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
  const [backup] = await runSql(
    store.url,
    'SELECT extract(epoch FROM finished_at)::float8 AS at, bytes::float8 FROM annals_backups',
  )
  t.equal(valueOf('backup_last_success_timestamp_seconds{type="archive"}'), backup?.['at'])
  t.equal(valueOf('backup_size_bytes{type="archive"}'), backup?.['bytes'])
  t.ok(valueOf('backup_verify_last_success_timestamp_seconds') >= backup?.['at'])
  t.ok(valueOf('backup_first_recoverability_timestamp_seconds') <= backup?.['at'])
  t.ok(valueOf('dr_rpo_seconds_current') > 0)
  t.notMatch(text, /^dr_drill/m, 'what never was has no value')
  t.notMatch(text, /^backup_last_failure_timestamp_seconds\{/m)
})

t.test('The policy is written for cron, Kubernetes and buckets', async (t) => {
  const policy = { ...DEFAULT_POLICY, timezone: BERLIN }
  const active = activeSchedules({ policy, offsite: openDestination(testFolder(t)) })
  const lines = crontab(policy, active).split('\n')
  t.ok(lines.includes(`CRON_TZ=${BERLIN}`))
  t.ok(lines.includes('0 3 * * 0 annals schedules run weekly-full'))
  const documents = parseAllDocuments(cronJobs(policy, active, { image: 'a/b:1', secret: 's', claim: 'c' }))
  t.equal(documents.length, 4)
  for (const [i, document] of documents.entries()) {
    t.same(document.errors, [])
    t.match(document.toJS(), {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { name: /^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$/ },
      spec: {
        schedule: active[i]?.cron,
        timeZone: BERLIN,
        concurrencyPolicy: 'Forbid',
        jobTemplate: {
          spec: {
            template: {
              spec: { restartPolicy: 'Never', containers: [{ args: ['schedules', 'run', active[i]?.name] }] },
            },
          },
        },
      },
    })
  }
  t.match(parse(s3Lifecycle(policy, 'annals/')), {
    Rules: [{ Filter: { Prefix: 'annals/' }, Expiration: { Days: 90 } }],
  })

  const store = await newStore(t)
  const env = { DATABASE_URL: store.url, BACKUP_DIR: join(testFolder(t), 'backups') }
  const run = spawnAnnals(t, ['schedules', 'run', 'daily'], env)
  t.equal(await run.exit, 0, run.stderr.join('\n'))
  const noted = async () =>
    runSql(store.url, 'SELECT name, state, error, due_at = started_at AS is_now FROM annals_schedules')
  t.same(await noted(), [{ name: 'daily', state: 'succeeded', error: null, is_now: true }], 'GET /schedules tells it')
  const failing = spawnAnnals(t, ['schedules', 'run', 'daily'], {
    ...env,
    BACKUP_DIR: `${import.meta.filename}/nowhere`,
  })
  t.equal(await failing.exit, 4)
  t.match(await noted(), [{ name: 'daily', state: 'failed', error: /nowhere/ }])
  const unknown = spawnAnnals(t, ['schedules', 'run', 'hourly'], env)
  t.equal(await unknown.exit, 4)
  t.match(unknown.stderr.join('\n'), /there is no schedule hourly; those that are: daily, weekly-full, prune/)
})
