import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { DRIVERS } from '../../src/backup/drivers.ts'
import { appendRows, newDesk } from '../support/backups.ts'
import { createTestDatabase, runSql, testFolder } from '../support/postgres.ts'
import { ask, spawnService, startTestService, until } from '../support/service.ts'

const server = await createTestDatabase(t)

const post = (url: string, body?: unknown) =>
  ask(url, {
    method: 'POST',
    ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })

/** The job as it ends. */
async function finished(url: string, id: unknown): Promise<Record<string, unknown>> {
  let job: Record<string, unknown> = {}
  await until(async () => {
    job = (await ask(`${url}/jobs/${id}`)).body
    return job['state'] !== 'running'
  })
  return job
}

t.test('A backup is made, shown, checked and tried out as jobs', async (t) => {
  const { url: database, folder } = await newDesk(t, server)
  const { url, ready } = await startTestService(t, { DATABASE_URL: database, BACKUP_DIR: folder })
  await ready
  t.same((await ask(`${url}/backups`)).body, { backups: [], attested: [], faults: [] })
  const { types } = (await ask(`${url}/backups/types`)).body as { types: { type: string; [part: string]: unknown }[] }
  t.same(
    types.map(({ type }) => type),
    DRIVERS.map(({ type }) => type),
  )
  for (const each of types) t.match(each, { summary: /../, advantages: [/../], disadvantages: [/../] }, each.type)

  const begun = await post(`${url}/backups`)
  t.equal(begun.status, 202)
  t.equal(begun.headers.get('location'), `/jobs/${begun.body['id']}`)
  const made = await finished(url, begun.body['id'])
  t.match(made, { kind: 'create', state: 'succeeded', backup_id: /^backup_\d{8}_\d{6}$/, error: null })
  t.notOk('run_by' in made)
  const id = made['backup_id'] as string
  t.ok(existsSync(join(folder, id, 'manifest.json')))
  t.match((await ask(`${url}/backups`)).body, { backups: [{ id, state: 'complete', events: 500, verified: null }] })

  const verified = await post(`${url}/backups/${id}/verify`, { level: 3 })
  t.match(await finished(url, verified.body['id']), { kind: 'verify', state: 'succeeded', result: { compared: 500 } })
  const tested = await post(`${url}/backups/${id}/test`)
  t.match(await finished(url, tested.body['id']), { kind: 'test', state: 'succeeded', result: { events: 500 } })
  t.match((await ask(`${url}/backups/${id}`)).body, { verified: { level: 3 }, tested_at: String, manifest: { id } })

  await appendRows(database, 10)
  const more = await post(`${url}/backups`, { type: 'archive', since: id })
  const increment = await finished(url, more.body['id'])
  t.match((await ask(`${url}/backups/${increment['backup_id']}`)).body, { base: id, events: 510 })
})

t.test('What can not be is refused before a job begins', async (t) => {
  const { url: database, folder } = await newDesk(t, server)
  const { url, ready } = await startTestService(t, { DATABASE_URL: database, BACKUP_DIR: folder })
  await ready
  const nothing = 'backup_20200101_000000'
  const cases: [status: number, code: string, answer: ReturnType<typeof ask>][] = [
    [400, 'validation_failed', post(`${url}/backups`, { type: 'rm -rf' })],
    [400, 'validation_failed', post(`${url}/backups`, { type: 'archive', to: '/tmp' })],
    [400, 'validation_failed', post(`${url}/backups`, { since: '../x' })],
    [400, 'validation_failed', ask(`${url}/backups/..%2Fx`)],
    [400, 'validation_failed', post(`${url}/backups/%2Fetc%2Fpasswd/verify`)],
    [400, 'validation_failed', post(`${url}/backups/${nothing}/verify`, { level: 4 })],
    [404, 'backup_not_found', ask(`${url}/backups/${nothing}`)],
    [404, 'backup_not_found', post(`${url}/backups/${nothing}/verify`)],
    [404, 'backup_not_found', post(`${url}/backups/${nothing}/test`)],
    [400, 'validation_failed', ask(`${url}/jobs/1`)],
    [404, 'job_not_found', ask(`${url}/jobs/0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f`)],
  ]
  for (const [status, code, asked] of cases) {
    const answer = await asked
    t.equal(answer.status, status, `${code}: ${answer.body['detail']}`)
    t.equal(answer.body['code'], code)
  }
  for (const [body, pointer, rule] of [
    [{ type: 'archive', format: 'plain' }, '/format', 'not_of_this_type'],
    [{ kind: 'full' }, '/kind', 'not_of_this_type'],
    [{ type: 'full', gzip: true }, '/gzip', 'only_plain'],
    [{ type: 'tables' }, '/tables', 'required'],
  ] as const) {
    const answer = await post(`${url}/backups`, body)
    t.match(answer, { status: 400, body: { code: 'validation_failed', errors: [{ pointer, rule }] } })
    t.notMatch(answer.body['detail'], /--/, 'in words of the API')
  }
  const { types } = (await ask(`${url}/backups/types`)).body as { types: { type: string }[] }
  t.match((await post(`${url}/backups`, { type: 'rm -rf' })).body, {
    detail: /must be one of archive,/,
    errors: [{ pointer: '/type', rule: 'not_a_choice', choices: types.map(({ type }) => type) }],
  })
  t.same(await runSql(database, 'SELECT FROM annals_jobs'), [])
})

t.test('One job works at a time, and ends in order with the service', async (t) => {
  const { url: database } = await newDesk(t, server)
  const folder = join(testFolder(t), 'backups')
  const service = await spawnService(t, { DATABASE_URL: database, BACKUP_DIR: folder })
  const { url } = service
  await until(async () => (await ask(`${url}/health/ready`)).status === 200, 60_000, service)
  const holder = new pg.Client({ connectionString: database })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE')

  const begun = await post(`${url}/backups`)
  t.equal(begun.status, 202)
  t.match(await post(`${url}/backups`), { status: 409, body: { code: 'job_running', retryable: true } })
  t.match((await ask(`${url}/jobs/${begun.body['id']}`)).body, { state: 'running' })
  service.process.kill('SIGTERM')
  t.equal(await service.exit, 0)
  await holder.query('ROLLBACK')
  t.match(await runSql(database, 'SELECT state, error FROM annals_jobs'), [{ state: 'stopped', error: /stopped/ }])
  t.match(await runSql(database, 'SELECT state FROM annals_backups'), [{ state: 'failed' }])
  t.same(readdirSync(folder), [], 'nothing of it is left')
})
