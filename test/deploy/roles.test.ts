// deploy/roles.sql, on a server of the test's own, because roles belong to the whole server.

import { readFileSync } from 'node:fs'
import pg from 'pg'
import t from 'tap'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { runSql, startTestCluster, testFolder, withDatabase } from '../support/postgres.ts'
import { appendTo, ask, spawnAnnals, startTestService } from '../support/service.ts'

const ROLES = readFileSync(new URL('../../deploy/roles.sql', import.meta.url), 'utf8')

let adminUrl: string
const as = (role: string): string => {
  const url = new URL(adminUrl)
  url.username = role
  return url.href
}

t.before(async () => {
  const cluster = await startTestCluster(t, { isDurable: false })
  await runSql(cluster.adminUrl, 'CREATE DATABASE roles')
  adminUrl = withDatabase(cluster.adminUrl, 'roles')
  await runSql(adminUrl, ROLES)
  await runMigrations(as('annals_owner'))
  await runSql(adminUrl, ROLES)
})

const json = (method: string, body: object) => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})

t.test('the whole service runs as annals_service', async (t) => {
  const service = await startTestService(t, { DATABASE_URL: as('annals_service'), HEARTBEAT_SECONDS: '1' })
  await service.ready
  const call = async (status: number, method: string, path: string, body?: object) => {
    const answer = await ask(service.url + path, body === undefined ? { method } : json(method, body))
    t.equal(answer.status, status, `${method} ${path}: ${answer.status === status ? '' : JSON.stringify(answer.body)}`)
    return answer.body
  }
  const follower = new AbortController()
  t.teardown(() => follower.abort())
  const stream = await fetch(`${service.url}/events`, {
    headers: { accept: 'text/event-stream' },
    signal: follower.signal,
  })
  const reader = (stream.body as ReadableStream<Uint8Array>).getReader()

  t.equal((await appendTo(service.url, 's')).status, 201)
  t.match(Buffer.from((await reader.read()).value as Uint8Array).toString(), /event: event/, 'it follows')
  follower.abort()
  const events = [{ type: 'A' }, { type: 'B', data: { n: 1 } }]
  await call(201, 'POST', '/streams/s/events', { expected_version: 1, events })
  await call(409, 'POST', '/streams/s/events', { expected_version: 1, events })
  await call(201, 'POST', '/events', { appends: ['a', 'b'].map((stream_id) => ({ stream_id, events })) })
  const imported = await fetch(`${service.url}/import`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: '{"stream_id":"i","type":"A"}\n',
  })
  t.equal(imported.status, 200, await imported.text())
  for (const path of [
    '/events',
    '/streams',
    '/streams/s',
    '/streams/s/events',
    '/migrations',
    '/pool',
    '/pool/sizing',
    '/integrity',
  ]) {
    await call(200, 'GET', path)
  }
  await call(201, 'PUT', '/streams/s/snapshot', { version: 2, state: {} })
  await call(200, 'PUT', '/streams/s/snapshot', { version: 3, state: {} })
  for (const path of ['/streams/s/snapshot', '/streams/s/state', '/snapshots/coverage']) await call(200, 'GET', path)
  await call(204, 'DELETE', '/streams/s/snapshot')

  await call(201, 'PUT', '/consumers/c', { partitions: 2 })
  const lease = await call(200, 'POST', '/consumers/c/claim', { member: 'm' })
  await call(200, 'POST', '/consumers/c/nack', { token: lease['token'] as string, action: 'park', reason: 'no' })
  await call(200, 'POST', '/consumers/c/parked/replay', {})
  const again = await call(200, 'POST', '/consumers/c/claim', { member: 'm' })
  await call(200, 'POST', '/consumers/c/ack', { token: again['token'] as string })
  for (const path of ['/consumers', '/consumers/c', '/consumers/c/parked']) await call(200, 'GET', path)
  await call(200, 'POST', '/consumers/c/pause')
  await call(200, 'POST', '/consumers/c/resume')
  await call(200, 'POST', '/consumers/c/reset', { position: 0 })
  await call(204, 'DELETE', '/consumers/c')
  await call(200, 'GET', '/health/ready')
  t.match(await call(200, 'GET', '/health'), { status: 'ok', event_count: 8 })
  await call(403, 'POST', '/migrations', {})
})

/** Statements, and the SQLSTATE that each role gets; '' for one that it may run. */
const RIGHTS: [statement: string, service: string, reader: string, backup: string][] = [
  ['SELECT count(*) FROM events', '', '', ''],
  ['SELECT count(*) FROM snapshots', '', '', ''],
  ['SELECT count(*) FROM annals_consumers', '', '', ''],
  ['SELECT count(*) FROM annals_migrations', '', '', ''],
  ["INSERT INTO events (stream_id, version, event_type, event_data) VALUES ('p', 1, 'A', '')", '', '42501', '42501'],
  ["UPDATE events SET event_type = 'X'", '42501', '42501', '42501'],
  ['DELETE FROM events', '42501', '42501', '42501'],
  ['TRUNCATE events', '42501', '42501', '42501'],
  ['SELECT FROM events FOR UPDATE', '42501', '42501', '42501'],
  ['DROP TABLE events', '42501', '42501', '42501'],
  ['ALTER TABLE events DISABLE TRIGGER ALL', '42501', '42501', '42501'],
  ['UPDATE annals_head SET position = position', '', '42501', '42501'],
  ['INSERT INTO annals_head (position, largest_event_bytes) VALUES (0, 0)', '42501', '42501', '42501'],
  ['DELETE FROM annals_head', '42501', '42501', '42501'],
  ['DELETE FROM annals_migrations', '42501', '42501', '42501'],
  ['DELETE FROM snapshots', '', '42501', '42501'],
  ['CREATE TABLE mine ()', '42501', '42501', '42501'],
  ['LOCK TABLE events IN ACCESS SHARE MODE', '', '', ''],
]

t.test('each role may do what it is for, and nothing else', async (t) => {
  for (const [i, role] of ['annals_service', 'annals_reader', 'annals_backup'].entries()) {
    const client = new pg.Client({ connectionString: as(role) })
    await client.connect()
    for (const [statement, ...expected] of RIGHTS) {
      await client.query('BEGIN')
      // The setting is for the owner; in anybody else's hands it does nothing.
      await client.query('SET LOCAL annals.allow_rewrite = on')
      const state = await client.query(statement).then(
        () => '',
        (error: pg.DatabaseError) => error.code,
      )
      await client.query('ROLLBACK')
      t.equal(state, expected[i], `${role}: ${statement}`)
    }
    await client.end()
  }
})

t.test('annals_backup makes backups, and can change nothing else', async (t) => {
  const BACKUP_DIR = testFolder(t)
  const child = spawnAnnals(t, ['backup', 'create'], { DATABASE_URL: as('annals_backup'), BACKUP_DIR })
  t.equal(await child.exit, 0, child.stderr.join('\n'))
  t.equal((await runSql(as('annals_backup'), "SELECT FROM annals_backups WHERE state = 'complete'")).length, 1)
  await t.rejects(runSql(as('annals_backup'), 'DELETE FROM snapshots'), { code: '42501' })
})

t.test('a table that a later migration adds is nobody’s but the owner’s until the file runs again', async (t) => {
  await runSql(as('annals_owner'), 'CREATE TABLE annals_later (id BIGINT GENERATED ALWAYS AS IDENTITY)')
  await t.rejects(runSql(as('annals_service'), 'SELECT FROM annals_later'), { code: '42501' })
  await runSql(adminUrl, ROLES)
  await runSql(as('annals_service'), 'INSERT INTO annals_later DEFAULT VALUES')
  await t.rejects(runSql(as('annals_reader'), 'INSERT INTO annals_later DEFAULT VALUES'), { code: '42501' })
})

t.test('the file is for the first schema of the search path, and leaves the others alone', async (t) => {
  await runSql(adminUrl, 'CREATE SCHEMA other AUTHORIZATION annals_owner')
  await runMigrations(as('annals_owner'), { schema: 'other' })
  await t.rejects(runSql(as('annals_service'), 'SELECT FROM other.events'), { code: '42501' })
  await runSql(adminUrl, `SET search_path = other; ${ROLES}`)
  await runSql(as('annals_service'), 'SELECT FROM other.events')
  await t.rejects(runSql(as('annals_service'), 'DELETE FROM other.events'), { code: '42501' })
})
