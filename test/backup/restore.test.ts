import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { readCatalogue, readJobs } from '../../src/backup/catalogue.ts'
import { openDestination } from '../../src/backup/destinations/destinations.ts'
import { confirmRestore, listKeptStores, revertRestore } from '../../src/backup/restore/kept-stores.ts'
import { testBackup } from '../../src/backup/test-backup.ts'
import { verifyBackup } from '../../src/backup/verify-backup.ts'
import { describeSchema } from '../../src/db/migrations/schema-description.ts'
import { openEventStore } from '../../src/index.ts'
import { appendRows, context, eventsOf, failure, makeArchive, newDesk, restore } from '../support/backups.ts'
import { createTestDatabase, runSql } from '../support/postgres.ts'
import { appendTo, ask, startTestService, until } from '../support/service.ts'

const server = await createTestDatabase(t)

/** All that a restore must leave as it was: every object of the schema, and who may do what. */
async function madeOf(url: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query(
      `SELECT c.relname, pg_get_userbyid(c.relowner) AS owner, c.reloptions, a.grantee::regrole::text, a.privilege_type
       FROM pg_class AS c LEFT JOIN LATERAL aclexplode(c.relacl) AS a ON true
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1, 4, 5`,
    )
    return { objects: await describeSchema((text, values) => client.query(text, values), 'public'), rows }
  } finally {
    await client.end()
  }
}

const snapshotsOf = (url: string) => runSql(url, 'SELECT stream_id, version::int FROM snapshots ORDER BY 1')
const epochOf = async (url: string) => (await runSql(url, 'SELECT epoch FROM annals_head'))[0]?.['epoch'] as string

t.test(
  'A store in use is replaced while readers go on and writers are refused, and it can be taken back',
  async (t) => {
    const { desk, url } = await newDesk(t, server)
    await runSql(
      url,
      `ALTER TABLE events ADD COLUMN event_version INTEGER NOT NULL DEFAULT 1, ADD COLUMN note TEXT;
     CREATE INDEX events_of_note ON events (note) WHERE note IS NOT NULL;
     GRANT SELECT ON events TO pg_monitor;
     ALTER TABLE snapshots DISABLE TRIGGER USER;
     INSERT INTO annals_consumers (name, filter, start, partitions, lease_seconds, max_attempts) VALUES ('mail', '{}', '0', 1, 30, 5);
     INSERT INTO annals_consumer_partitions (consumer, partition, checkpoint) VALUES ('mail', 0, 400)`,
    )
    const backup = await makeArchive(desk)
    const stored = await eventsOf(url)
    await appendRows(url, 100)
    await runSql(
      url,
      `UPDATE annals_consumer_partitions SET checkpoint = 600; UPDATE snapshots SET version = 80 WHERE stream_id = 'order-1'`,
    )
    const later = await eventsOf(url)
    const [made, epoch] = [await madeOf(url), await epochOf(url)]

    const store = await openEventStore({ databaseUrl: url })
    t.teardown(() => store.close())
    const codes = new Set<string>()
    let lastRead = 0
    let isDone = false
    const reading = (async () => {
      while (!isDone) lastRead = (await store.readStream('order-1', { limit: 1 })).version
    })()
    const writing = (async () => {
      while (!isDone) {
        await store.append('new', [{ type: 'X' }]).then(
          () => codes.add('stored'),
          (error: { code: string }) => codes.add(error.code),
        )
        await sleep(5)
      }
    })()
    // A reader in a transaction of its own holds the swap up, and with it the writers; it sees the old rows to its end.
    const reader = new pg.Client({ connectionString: url })
    await reader.connect()
    await reader.query('BEGIN; SELECT count(*) FROM events')
    const restoring = restore(desk, backup.id, url, { mode: 'replace' })
    await until(() => codes.has('busy'))
    lastRead = 0
    await until(() => lastRead > 0)
    t.pass('readers go on')
    await reader.query('COMMIT')
    await reader.end()
    const { outcome } = await restoring
    isDone = true
    await Promise.all([reading, writing])
    t.ok(codes.has('busy'), `writers were told to come again: ${[...codes]}`)

    t.same((await eventsOf(url)).slice(0, 500), stored)
    t.not(await epochOf(url), epoch)
    t.same(await snapshotsOf(url), [
      { stream_id: 'order-1', version: 3 },
      { stream_id: 'order-2', version: 1 },
    ])
    t.match(await runSql(url, 'SELECT checkpoint::int FROM annals_consumer_partitions'), [{ checkpoint: 400 }])
    t.same(await madeOf(url), made, 'columns, indexes, triggers and rights are as they were')
    t.match(await store.append('after', [{ type: 'X' }], 0), { version: 1 }, 'the service goes on')
    await t.rejects(runSql(url, 'DELETE FROM events'), /append-only/)

    const kept = outcome['kept'] as string
    t.match(await listKeptStores({ url, schema: 'public' }, context()), [
      { name: kept, reason: /before the restore of backup_/ },
    ])
    const reverted = await revertRestore({ url, schema: 'public' }, undefined, context())
    t.equal(reverted.reverted, kept)
    t.same((await eventsOf(url)).slice(0, 600), later.slice(0, 600), 'what was in use is in use again')
    t.same(await madeOf(url), made)
    t.match(await runSql(url, 'SELECT checkpoint::int FROM annals_consumer_partitions'), [{ checkpoint: 600 }])
    t.same(await confirmRestore({ url, schema: 'public' }, undefined, context()), [reverted.kept])
    t.same(await runSql(url, `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'annals\\_%'`), [])
    t.match(await failure(confirmRestore({ url, schema: 'public' }, undefined, context())), { kind: 'not_found' })
    t.match(await readJobs(desk, { backupId: backup.id }), [
      { kind: 'restore', state: 'succeeded' },
      { kind: 'create' },
    ])
  },
)

t.test('Over HTTP appends are told to come again while a store is replaced, and the service stays ready', async (t) => {
  const { desk, url } = await newDesk(t, server)
  const backup = await makeArchive(desk)
  await appendRows(url, 100)
  const service = await startTestService(t, { DATABASE_URL: url })
  await until(async () => (await ask(`${service.url}/health/ready`)).status === 200)
  // Holds up the swap, so that there is time to ask.
  const reader = new pg.Client({ connectionString: url })
  await reader.connect()
  await reader.query('BEGIN; SELECT count(*) FROM events')
  const restoring = restore(desk, backup.id, url, { mode: 'replace' })
  await until(async () => (await appendTo(service.url, 'new')).status === 503)
  for (let i = 0; i < 3; i++) {
    const { status, body, headers } = await appendTo(service.url, 'new')
    t.match({ status, body }, { status: 503, body: { code: 'busy', retryable: true, outcome: 'not_applied' } })
    t.match(headers.get('retry-after'), /^[1-9]\d*$/)
    t.match(await ask(`${service.url}/streams/order-1/events?limit=1`), { status: 200, body: { version: Number } })
    t.match(await ask(`${service.url}/health/ready`), { status: 200, body: { status: 'ready' } })
    t.equal((await ask(`${service.url}/health/live`)).status, 200)
  }
  await reader.query('COMMIT')
  await reader.end()
  await restoring
  t.match(await appendTo(service.url, 'new'), { status: 201, body: { position: 501, version: 1 } }, 'the store goes on')
  t.match(await ask(`${service.url}/health/ready`), { status: 200 })
})

t.test('Events alone bring the rest back to their head, and tables alone leave the events', async (t) => {
  const { desk, url } = await newDesk(t, server)
  const backup = await makeArchive(desk)
  const stored = await eventsOf(url)
  await appendRows(url, 100)
  await runSql(
    url,
    `UPDATE snapshots SET version = 80 WHERE stream_id = 'order-1'; UPDATE snapshots SET version = 2 WHERE stream_id = 'order-2';
     INSERT INTO annals_consumers (name, filter, start, partitions, lease_seconds, max_attempts) VALUES ('mail', '{}', '0', 1, 30, 5);
     INSERT INTO annals_consumer_partitions (consumer, partition, checkpoint) VALUES ('mail', 0, 600);
     INSERT INTO annals_consumer_parked (consumer, position, partition, attempts) VALUES ('mail', 555, 0, 1), ('mail', 5, 0, 1)`,
  )
  const tables = await restore(desk, backup.id, url, { mode: 'tables', tables: ['snapshots'] })
  t.match(tables.outcome, { snapshots_dropped: 0, consumers_moved: 0 })
  t.equal((await eventsOf(url)).length, 600)
  t.match(await snapshotsOf(url), [{ version: 3 }, { version: 1 }])
  await runSql(url, `UPDATE snapshots SET version = 80 WHERE stream_id = 'order-1'`)
  const { outcome } = await restore(desk, backup.id, url, { mode: 'events' })
  t.match(outcome, { snapshots_dropped: 1, consumers_moved: 1 })
  t.same(await eventsOf(url), stored)
  t.same(await snapshotsOf(url), [{ stream_id: 'order-2', version: 1 }], 'no snapshot is ahead of its stream')
  t.match(await runSql(url, 'SELECT checkpoint::int FROM annals_consumer_partitions'), [{ checkpoint: 500 }])
  t.match(await runSql(url, 'SELECT position::int FROM annals_consumer_parked'), [{ position: 5 }])
  t.equal((await listKeptStores({ url, schema: 'public' }, context())).length, 2)
})

t.test('What would stay with the old tables is named, and nothing changes', async (t) => {
  const { desk, url } = await newDesk(t, server)
  const backup = await makeArchive(desk)
  await runSql(
    url,
    `CREATE VIEW totals AS SELECT count(*) FROM events;
     CREATE TABLE notes (stream_id TEXT, version BIGINT, FOREIGN KEY (stream_id, version) REFERENCES events (stream_id, version))`,
  )
  const error = await failure(restore(desk, backup.id, url, { mode: 'replace' }))
  t.equal(error.kind, 'refused')
  t.match(error.evidence.join('\n'), /the view totals reads events[^]*a foreign key of notes refers to events/)
  t.same(await runSql(url, `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'annals\\_%'`), [])
})

t.test('One stream comes into a table of its own, and is compared with the one in use', async (t) => {
  const { desk, url } = await newDesk(t, server)
  const backup = await makeArchive(desk)
  await appendRows(url, 14)
  await runSql(
    url,
    `BEGIN; SET LOCAL annals.allow_rewrite = on; UPDATE events SET event_type = 'Changed' WHERE stream_id = 'order-1' AND version = 2;
     DELETE FROM events WHERE stream_id = 'order-1' AND version = 3; COMMIT`,
  )
  const { outcome } = await restore(desk, backup.id, url, { mode: 'stream', stream: 'order-1' })
  t.match(outcome, { events: 72, same: 70, different: 1, missing: 1, newer: 2 })
  t.same(outcome['evidence'], ['different in the store: order-1@2', 'missing in the store: order-1@3'])
  const [{ count }] = (await runSql(url, `SELECT count(*)::int FROM ${outcome['table']}`)) as [{ count: number }]
  t.equal(count, 72)
  t.match(await failure(restore(desk, backup.id, url, { mode: 'stream', stream: 'none' })), { kind: 'not_found' })
  const tables = await runSql(url, `SELECT FROM pg_tables WHERE tablename LIKE 'annals\\_stream\\_%'`)
  t.equal(tables.length, 1, 'a stream that is not there leaves no table')

  const error = await failure(verifyBackup(desk, { id: backup.id, level: 3 }, context()))
  t.equal(error.kind, 'different')
  t.match(error.message, /1 differ, 1 are only in the backup/)
  t.match(error.evidence, [
    /^order-1@2 at position \d+ differs in event_type$/,
    /^order-1@3 at position \d+ is only in the backup$/,
  ])
})

t.test('The drill restores the newest verified backup into a scratch, and drops it also when it fails', async (t) => {
  const { desk, url } = await newDesk(t, server)
  t.match(await failure(testBackup(desk, undefined, context())), { kind: 'not_found', message: /no verified backup/ })
  const noId = { kind: 'refused', message: /"nope" is no id of a backup/ }
  t.match(await failure(testBackup(desk, 'nope', context())), noId)
  t.match(await failure(verifyBackup(desk, { id: 'nope', level: 1 }, context())), noId)
  t.same(await readJobs(desk, {}), [], 'nothing was begun')
  const backup = await makeArchive(desk)
  await appendRows(url, 10)
  t.match(await verifyBackup(desk, { id: backup.id, level: 2 }, context()), { level: 2, scratch: 'database' })
  t.match(await verifyBackup(desk, { id: backup.id, level: 3 }, context()), { level: 3, compared: 500 })
  t.match(await testBackup(desk, undefined, context()), { id: backup.id, events: 500, snapshots: 2, compared: 500 })
  const [entry] = (await readCatalogue(desk)).entries
  t.match(entry, { verified: { level: 3 }, tested_at: String })

  const stopping = new AbortController()
  const job = {
    ...context(stopping.signal),
    progress: ({ step }: { step: string }) => void (step === 'restoring events' && stopping.abort()),
  }
  t.match(await failure(testBackup(desk, undefined, job)), { kind: 'stopped' })
  t.match(await readJobs(desk, { backupId: backup.id }), [
    { kind: 'test', state: 'stopped' },
    { kind: 'test', state: 'succeeded' },
  ])
  t.same(await runSql(url, `SELECT datname FROM pg_database WHERE datname LIKE 'annals\\_scratch\\_%'`), [])
})

t.test('A place where no folder can be made is refused in words', async (t) => {
  const { desk } = await newDesk(t, server)
  for (const place of ['/proc/annals', '/proc/annals/backups', import.meta.filename]) {
    const error = await failure(makeArchive({ ...desk, destination: openDestination(place) }))
    t.match(error, { kind: 'refused', message: new RegExp(`^${place} can't be written: `) })
  }
})

t.test('A restore that is stopped leaves the target as it was, and another job is refused meanwhile', async (t) => {
  const { desk, url } = await newDesk(t, server)
  const backup = await makeArchive(desk)
  await appendRows(url, 10)
  const before = await eventsOf(url)
  const reader = new pg.Client({ connectionString: url })
  await reader.connect()
  await reader.query('BEGIN; SELECT count(*) FROM events')
  const first = new AbortController()
  let second: Promise<string> | undefined
  const waiting = {
    ...context(first.signal),
    progress({ step }: { step: string }) {
      if (step !== 'comparing events') return
      second ??= failure(makeArchive(desk)).then(({ kind }) => kind)
      second.catch(() => {}).finally(() => first.abort())
    },
  }
  t.equal((await failure(restore(desk, backup.id, url, { mode: 'replace' }, waiting))).kind, 'stopped')
  t.equal(await second, 'locked')
  await reader.end()
  t.same(await eventsOf(url), before)

  const late = new AbortController()
  const comparing = {
    ...context(late.signal),
    progress: ({ step }: { step: string }) => void (step === 'comparing events' && late.abort()),
  }
  t.equal((await failure(restore(desk, backup.id, url, { mode: 'into', isForced: true }, comparing))).kind, 'stopped')
  t.same(await eventsOf(url), before)
  t.same(await runSql(url, `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'annals\\_%'`), [])
  await restore(desk, backup.id, url, { mode: 'into', isForced: true })
  t.equal((await eventsOf(url)).length, 500, '--force takes out what was there')
})
