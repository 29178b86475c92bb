// A store that is damaged in every way that we could think of: each damage is found and named, by the command, by the
// route, and while others append.

import pg from 'pg'
import t from 'tap'
import { createClient } from '../src/client/client.ts'
import { INTEGRITY_RULES, type IntegrityFinding, type IntegrityRule } from '../src/db/integrity/finding.ts'
import { verifyStore } from '../src/db/integrity/verify-store.ts'
import { runMigrations } from '../src/db/migrations/migrator.ts'
import { startTestCluster } from './support/postgres.ts'
import { ask, spawnAnnals, startTestService, until } from './support/service.ts'

// As a superuser, because some damage takes one.
const cluster = await startTestCluster(t, { isDurable: false })
const databaseUrl = cluster.adminUrl
await runMigrations(databaseUrl)
const service = await startTestService(t, { DATABASE_URL: databaseUrl, LOG_LEVEL: 'silent' })
await service.ready
const client = createClient({ url: service.url })
for (let i = 0; i < 4; i++) await client.append('a', [{ type: 'A' }, { type: 'B' }])
for (let i = 0; i < 4; i++) await client.append('b', [{ type: 'A' }])
for (const stream of ['a', 'b']) await client.saveSnapshot(stream, { version: 4, state: {} })
await client.saveConsumer('c', {})
// Positions: a has 1 to 8, b has 9 to 12.

const database = new pg.Client(databaseUrl)
await database.connect()
t.teardown(() => database.end())

async function findings(after = 0): Promise<IntegrityFinding[]> {
  const found: IntegrityFinding[] = []
  for await (const piece of verifyStore((text, values) => database.query(text, values), 'public', after)) {
    found.push(...piece.findings)
  }
  return found
}

const FREE = 'ALTER TABLE events DISABLE TRIGGER ALL'
const BOUND = 'ALTER TABLE events ENABLE TRIGGER ALL'
/** Changes rows past what guards them, and puts the guards back. */
const past = (...statements: string[]) => [FREE, ...statements, BOUND]
const NO_POSITION_INDEX = 'DROP INDEX idx_events_position'
const NO_ID_INDEX = 'DROP INDEX idx_events_event_id'
const NO_KEY = 'ALTER TABLE events DROP CONSTRAINT events_pkey'

const DAMAGES: [what: string, statements: string[], rules: IntegrityRule[], says: RegExp][] = [
  [
    'an event is gone',
    past('DELETE FROM events WHERE position = 10'),
    ['position_gap', 'version_gap'],
    /positions 10 to 10 are missing/,
  ],
  [
    'the first event is gone',
    past('DELETE FROM events WHERE position = 1'),
    ['position_gap', 'version_gap'],
    /positions 1 to 1 /,
  ],
  [
    'the last events are gone',
    past('DELETE FROM events WHERE position > 10'),
    ['head_wrong', 'snapshot_ahead'],
    /the head is 12, and the last position is 10/,
  ],
  ['all events are gone', past('DELETE FROM events'), ['head_wrong', 'snapshot_ahead'], /last position is 0/],
  ['the head is behind', ['UPDATE annals_head SET position = 11'], ['head_wrong'], /the head is 11/],
  ['the head is ahead', ['UPDATE annals_head SET position = 13'], ['head_wrong'], /the head is 13/],
  ['there is no head', ['DELETE FROM annals_head'], ['head_wrong'], /0 rows/],
  [
    'an event has no position',
    past(
      'ALTER TABLE events ALTER COLUMN position DROP NOT NULL',
      'UPDATE events SET position = NULL WHERE position = 9',
    ),
    ['object_different', 'position_gap', 'position_missing', 'version_gap'],
    /version 1 of b has the position null/,
  ],
  [
    'an event has a position before the first',
    past('UPDATE events SET position = -9 WHERE position = 9'),
    ['position_gap', 'position_missing'],
    /version 1 of b has the position -9/,
  ],
  [
    'a position is given twice',
    past(NO_POSITION_INDEX, 'UPDATE events SET position = 10 WHERE position = 11'),
    ['object_missing', 'position_gap', 'position_twice', 'version_gap'],
    /the position 10 is given twice/,
  ],
  [
    'a position is far away',
    past('UPDATE events SET position = 1000000000000 WHERE position = 12'),
    ['head_wrong', 'position_gap'],
    /positions 12 to 999999999999 are missing/,
  ],
  [
    'a version is left out',
    past('UPDATE events SET version = 5 WHERE position = 12'),
    ['version_gap'],
    /version 5 of b at position 12/,
  ],
  [
    'a stream does not begin with 1',
    past('UPDATE events SET version = 0 WHERE position = 9'),
    ['version_gap'],
    /version 0 of b/,
  ],
  [
    'two versions changed places',
    past(
      'UPDATE events SET version = 99 WHERE position = 10',
      'UPDATE events SET version = 2 WHERE position = 11',
      'UPDATE events SET version = 3 WHERE position = 10',
    ),
    ['version_gap'],
    /version [34] of b at position 1[02] does not come after/,
  ],
  [
    'a version is given twice',
    past(NO_KEY, 'UPDATE events SET version = 2 WHERE position = 11'),
    ['object_missing', 'version_gap', 'version_twice'],
    /version 2 of b at position 11 is there twice/,
  ],
  [
    'an event moved to another stream',
    past(`UPDATE events SET stream_id = 'b', version = 5 WHERE position = 8`),
    ['version_gap'],
    /version 5 of b at position 8/,
  ],
  [
    'an id is used twice',
    past(
      NO_ID_INDEX,
      'UPDATE events SET event_id = (SELECT event_id FROM events WHERE position = 3) WHERE position = 7',
    ),
    ['id_twice', 'object_missing'],
    /version 7 of a at position 7 has the id of an earlier event/,
  ],
  [
    'an event has no id',
    past(
      'ALTER TABLE events ALTER COLUMN event_id DROP NOT NULL',
      'UPDATE events SET event_id = NULL WHERE position = 7',
    ),
    ['id_missing', 'object_different'],
    /version 7 of a at position 7 has no id/,
  ],
  [
    'a snapshot is ahead',
    [`UPDATE snapshots SET version = 9 WHERE stream_id = 'a'`],
    ['snapshot_ahead'],
    /snapshot of a is of version 9, and the stream is at 8/,
  ],
  [
    'a snapshot has no stream',
    [`UPDATE snapshots SET stream_id = 'z' WHERE stream_id = 'a'`],
    ['snapshot_ahead'],
    /snapshot of z .* the stream is at 0/,
  ],
  [
    'a consumer is ahead',
    ['UPDATE annals_consumer_partitions SET checkpoint = 13'],
    ['consumer_ahead'],
    /the consumer c is at 13, and the head is 12/,
  ],
  ['an index is gone', [NO_POSITION_INDEX], ['object_missing'], /index idx_events_position is missing/],
  [
    'an index is not valid',
    [`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_events_event_id'::regclass`],
    ['object_different'],
    /index idx_events_event_id is: .*\(invalid\)/,
  ],
  ['the primary key is gone', [NO_KEY], ['object_missing'], /constraint events PRIMARY KEY .* is missing/],
  [
    'a trigger is gone',
    ['DROP TRIGGER zz_annals_number_event ON events'],
    ['object_missing'],
    /trigger events\.zz_annals_number_event is missing/,
  ],
  [
    'a trigger is switched off',
    ['ALTER TABLE events DISABLE TRIGGER annals_append_only'],
    ['object_different'],
    /annals_append_only is: .*enabled: D/,
  ],
  [
    'a function does something else',
    [
      'CREATE OR REPLACE FUNCTION annals_event_id() RETURNS UUID LANGUAGE sql VOLATILE AS $$ SELECT gen_random_uuid() $$',
    ],
    ['object_different'],
    /function annals_event_id/,
  ],
  ['the snapshots are gone', ['DROP TABLE snapshots'], ['object_missing'], /table snapshots is missing/],
  [
    'the events are not kept through a crash',
    ['ALTER TABLE events SET UNLOGGED'],
    ['object_different'],
    /table events is: unlogged/,
  ],
]

t.test('a sound store is found sound, also from any position on', async (t) => {
  for (const after of [0, 5, 12, 1_000]) t.same(await findings(after), [], `after ${after}`)
})

t.test('every damage is found and named', async (t) => {
  for (const [what, statements, rules, says] of DAMAGES) {
    await database.query('BEGIN')
    for (const statement of statements) await database.query(statement)
    const found = await findings()
    await database.query('ROLLBACK')
    t.same([...new Set(found.map(({ rule }) => rule))].sort(), rules, what)
    t.match(found.map(({ detail }) => detail).join('\n'), says, what)
  }
  const named = new Set(DAMAGES.flatMap(([, , rules]) => rules))
  t.same(
    Object.keys(INTEGRITY_RULES).filter((rule) => !named.has(rule as IntegrityRule)),
    [],
    'every rule has a damage',
  )
})

type Piece = { findings: { rule: string }[]; next: string | null; events: number; snapshots: number; is_sound: boolean }

async function overHttp(limit: number) {
  const pieces: Piece[] = []
  for (let path: string | null = `/integrity?limit=${limit}`; path !== null; ) {
    const { status, body } = await ask(service.url + path)
    if (status !== 200) throw new Error(`${path} was answered ${status}`)
    pieces.push(body as unknown as Piece)
    path = (body as unknown as Piece).next
  }
  return pieces
}

t.test('over HTTP it goes piece by piece, and finds the same', async (t) => {
  const pieces = await overHttp(5)
  t.same(
    pieces.map(({ events, snapshots }) => [events, snapshots]),
    [
      [5, 0],
      [5, 0],
      [2, 0],
      [0, 2],
    ],
  )
  t.ok(pieces.every(({ is_sound: isSound }) => isSound))
  // Damage that outlasts a transaction, with its repair.
  const swap = [
    'UPDATE events SET version = 99 WHERE position = 5',
    'UPDATE events SET version = 5 WHERE position = 6',
    'UPDATE events SET version = 6 WHERE position = 5',
  ]
  for (const statement of past(...swap)) await database.query(statement)
  const found = (limit: number) =>
    overHttp(limit).then((all) => [...new Set(all.flatMap((piece) => piece.findings.map(({ rule }) => rule)))])
  for (const limit of [1, 2, 3, 100]) t.same(await found(limit), ['version_gap'], `pieces of ${limit}`)
  const command = spawnAnnals(t, ['verify', '--database-url', databaseUrl])
  const json = spawnAnnals(t, ['verify', '--database-url', databaseUrl, '--json', '--after', '7'])
  t.same(await Promise.all([command.exit, json.exit]), [2, 0])
  t.match(
    command.stdout.join('\n'),
    /12 events, 2 snapshots .*BROKEN {2}versions of a stream are contiguous.*version 6 of a at position 5/s,
  )
  t.match(command.stderr.join('\n'), /annals: \d things are not as they have to be/)
  t.match(JSON.parse(json.stdout.join('\n')), {
    is_sound: true,
    is_complete: true,
    after: 7,
    checked_to: 12,
    events: 5,
  })
  const [first, second, third] = swap as [string, string, string]
  for (const statement of past(
    first.replace('= 5', '= 6'),
    third.replace('= 6 ', '= 5 '),
    second.replace('= 5 ', '= 6 '),
  )) {
    await database.query(statement)
  }
  t.same(await findings(), [])
})

t.test('without the index of the positions a request looks at no rows, and says so', async (t) => {
  await database.query(NO_POSITION_INDEX)
  const { body } = await ask(`${service.url}/integrity`)
  t.match(body, { is_sound: false, rows_checked: false, events: 0, next: null, findings: [{ rule: 'object_missing' }] })
  await database.query('CREATE UNIQUE INDEX idx_events_position ON events (position)')
  t.same(await findings(), [])
})

t.test('what is appended meanwhile does no harm', async (t) => {
  let isOver = false
  const writing = Promise.all(
    Array.from({ length: 8 }, async (_, i) => {
      while (!isOver) await client.append(`w${i % 3}`, [{ type: 'A' }, { type: 'B' }])
    }),
  )
  for (let i = 0; i < 5; i++) {
    t.same(await findings(), [])
    t.ok((await overHttp(5_000)).every(({ is_sound: isSound }) => isSound))
  }
  isOver = true
  await writing
})

t.test('what can not be checked is no finding', async (t) => {
  const [absent, unreachable] = [
    spawnAnnals(t, ['verify', '--database-url', databaseUrl, '--schema', 'nope']),
    spawnAnnals(t, ['verify', '--database-url', 'postgres://127.0.0.1:1/x']),
  ]
  t.same(await Promise.all([absent.exit, unreachable.exit]), [4, 4])
  t.match(absent.stderr.join('\n'), /annals: the schema nope has no store: run `annals migrate up` first/)
  t.match(unreachable.stderr.join('\n'), /annals: the database at 127.0.0.1:1 can't be reached \(ECONNREFUSED\): is it/)
})

t.test('one that is stopped says where to go on, and that is no finding either', async (t) => {
  const holder = new pg.Client(databaseUrl)
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('BEGIN; LOCK TABLE annals_head IN ACCESS EXCLUSIVE MODE')
  const child = spawnAnnals(t, ['verify', '--database-url', databaseUrl])
  const waiting = `SELECT FROM pg_stat_activity WHERE application_name = 'annals verify' AND wait_event_type = 'Lock'`
  await until(async () => (await database.query(waiting)).rowCount === 1, 60_000, child)
  child.process.kill('SIGINT')
  await holder.query('ROLLBACK')
  t.equal(await child.exit, 130)
  t.match(child.stderr.join('\n'), /annals: stopped; go on with --after \d+/)
})

t.test('what can not be asked is refused with its place', async (t) => {
  const cases: [query: string, code: string][] = [
    ['limit=0', 'validation_failed'],
    ['limit=50001', 'validation_failed'],
    ['after=1&snapshots_after=a', 'validation_failed'],
    ['snapshots_after=..', 'stream_id_invalid'],
    ['from=1', 'validation_failed'],
  ]
  for (const [query, code] of cases)
    t.match(await ask(`${service.url}/integrity?${query}`), { status: 400, body: { code } }, query)
  const child = spawnAnnals(t, ['verify', '--after', 'x'])
  t.equal(await child.exit, 64)
})
