// The triggers that keep stored events as they are.

import pg from 'pg'
import t from 'tap'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { createTestDatabase } from '../support/postgres.ts'

const INSERT = "INSERT INTO events (stream_id, version, event_type, event_data) VALUES ('s', $1, 'A', '')"

let client: pg.Client
t.before(async () => {
  const { url } = await createTestDatabase(t)
  await runMigrations(url)
  client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  for (const version of [1, 2, 3]) await client.query(INSERT, [version])
})

const countEvents = async () => Number((await client.query('SELECT count(*) FROM events')).rows[0].count)

t.test('stored events can not be changed or taken away, not even by the owner', async (t) => {
  for (const [statement, verb] of [
    ["UPDATE events SET event_type = 'X' WHERE version = 1", 'UPDATE'],
    ['DELETE FROM events WHERE version = 1', 'DELETE'],
    ['DELETE FROM events WHERE false', 'DELETE'],
    ['TRUNCATE events', 'TRUNCATE'],
    [
      "INSERT INTO events SELECT * FROM events ON CONFLICT (stream_id, version) DO UPDATE SET event_type = 'X'",
      'UPDATE',
    ],
    ['MERGE INTO events USING (SELECT) AS nothing ON true WHEN MATCHED THEN DELETE', 'DELETE'],
  ] as const) {
    await t.rejects(
      client.query(statement),
      {
        code: '23001',
        message: `events are append-only: ${verb} was refused`,
        hint: /SET LOCAL annals\.allow_rewrite = on/,
      },
      statement,
    )
  }
  t.equal(await countEvents(), 3)
  await client.query(INSERT, [4])
  t.equal(await countEvents(), 4, 'and events are added as before')
})

t.test('the owner can allow it for one transaction', async (t) => {
  await client.query('BEGIN')
  await client.query('SET LOCAL annals.allow_rewrite = on')
  await client.query("UPDATE events SET event_type = 'B'")
  await client.query('DELETE FROM events WHERE version = 1')
  await client.query('TRUNCATE events')
  t.equal(await countEvents(), 0)
  await client.query('ROLLBACK')
  await t.rejects(client.query('DELETE FROM events'), { code: '23001' }, 'afterwards it is as before')
  await client.query('SET annals.allow_rewrite = off')
  await t.rejects(client.query('DELETE FROM events'), { code: '23001' })
})

t.test('whoever is not the owner can not allow it, whatever rights were granted', async (t) => {
  // Rolled back, so that the role never exists outside of this transaction.
  await client.query('BEGIN')
  await client.query('CREATE ROLE annals_test_not_owner')
  await client.query('GRANT ALL ON events TO annals_test_not_owner')
  await client.query('SET LOCAL ROLE annals_test_not_owner')
  await client.query('SET LOCAL annals.allow_rewrite = on')
  await t.rejects(client.query('DELETE FROM events'), { code: '23001' })
  await client.query('ROLLBACK')
})

t.test('events can be copied into a fresh table, which then takes the place of the old one', async (t) => {
  await client.query('BEGIN')
  await client.query('CREATE TABLE fresh (LIKE events INCLUDING ALL)')
  await client.query('INSERT INTO fresh SELECT * FROM events')
  await client.query('ALTER TABLE events RENAME TO old')
  await client.query('ALTER TABLE fresh RENAME TO events')
  t.equal(await countEvents(), 4)
  await client.query('DROP TABLE old')
  await client.query('ROLLBACK')
})
