import { appendFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { BackupError } from '../../src/backup/backup-error.ts'
import { readCatalogue } from '../../src/backup/catalogue.ts'
import { createBackup } from '../../src/backup/create-backup.ts'
import type { Desk } from '../../src/backup/desk.ts'
import { openDestination } from '../../src/backup/destinations.ts'
import type { JobContext } from '../../src/backup/driver.ts'
import type { Manifest } from '../../src/backup/manifest.ts'
import { type RestoreMode, restoreBackup } from '../../src/backup/restore-backup.ts'
import { verifyBackup } from '../../src/backup/verify-backup.ts'
import { runMigrations } from '../../src/db/migrator.ts'
import { createTestDatabase, runSql, type Teardown, testFolder, withDatabase } from '../support/postgres.ts'

const server = await createTestDatabase(t)
let databases = 0

async function newDatabase(test: Teardown): Promise<string> {
  const name = `${server.name}_${++databases}`
  await runSql(server.url, `CREATE DATABASE ${name}`)
  test.teardown(() => runSql(server.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  return withDatabase(server.url, name)
}

/** A migrated store with events in several streams, of all shapes that columns can have, and a folder for backups. */
async function newDesk(test: Teardown, events = 500): Promise<{ desk: Desk; url: string; folder: string }> {
  const url = await newDatabase(test)
  await runMigrations(url)
  await append(url, events)
  await runSql(
    url,
    `INSERT INTO snapshots (stream_id, version, state_data) VALUES ('order-1', 3, '\\x00ff'), ('order-2', 1, '{}')`,
  )
  const folder = join(testFolder(test), 'backups')
  return { desk: { destination: openDestination(folder), store: { url, schema: 'public' } }, url, folder }
}

const append = (url: string, events: number) =>
  runSql(
    url,
    `INSERT INTO events (stream_id, version, event_type, event_data, metadata, content_type, is_json)
     SELECT 'order-' || i % 7, (SELECT coalesce(max(version), 0) FROM events WHERE stream_id = 'order-' || i % 7) + i / 7 + 1,
       'Type' || i % 3, CASE WHEN i % 5 = 0 THEN '\\x00fe' ELSE convert_to(format('{"n":%s}', i), 'UTF8') END,
       CASE WHEN i % 4 = 0 THEN jsonb_build_object('k', i) END, CASE WHEN i % 11 = 0 THEN 'text/x' END, i % 5 <> 0
     FROM generate_series(0, ${events - 1}) AS i`,
  )

const context = (): JobContext => ({ signal: new AbortController().signal, progress() {}, log() {} })
const make = (desk: Desk, since?: string) =>
  createBackup(desk, { type: 'archive', options: {}, ...(since !== undefined && { since }) }, context())
const restore = (desk: Desk, id: string, url: string, how: RestoreMode = { mode: 'into', isForced: false }) =>
  restoreBackup({ id, destination: desk.destination, target: { url, schema: 'public' }, how }, context())
const rowsOf = (url: string) => runSql(url, 'SELECT to_jsonb(e) AS row FROM events e ORDER BY position')

async function failure(promise: Promise<unknown>): Promise<BackupError> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (error instanceof BackupError) return error
  throw new Error('it did not fail as it should', { cause: error })
}

t.test('An archive with increments comes back row by row, with a new epoch, and is written down', async (t) => {
  const { desk, url } = await newDesk(t)
  const whole = await make(desk)
  await append(url, 300)
  const first = await make(desk, whole.id)
  await runSql(url, `UPDATE snapshots SET version = 9 WHERE stream_id = 'order-2'`)
  const second = await make(desk, first.id)
  t.match(second, { base: first.id, contents: { events: 800, head: 800, snapshots: 2 } })
  t.same(await verifyBackup(desk, { id: second.id, level: 1 }, context()), { id: second.id, level: 1, backups: 3 })

  const target = await newDatabase(t)
  await restore(desk, second.id, target)
  t.same(await rowsOf(target), await rowsOf(url))
  const snapshots = 'SELECT to_jsonb(s) AS row FROM snapshots s ORDER BY stream_id'
  t.same(await runSql(target, snapshots), await runSql(url, snapshots))
  const head = 'SELECT position, largest_event_bytes, epoch FROM annals_head'
  const [before, after] = [(await runSql(url, head))[0], (await runSql(target, head))[0]]
  t.equal(after?.['position'], before?.['position'])
  t.equal(after?.['largest_event_bytes'], before?.['largest_event_bytes'])
  t.not(after?.['epoch'], before?.['epoch'])
  await append(target, 10)
  t.equal((await rowsOf(target)).length, 810, 'the restored store goes on')

  const { entries, faults } = await readCatalogue(desk)
  t.same(faults, [])
  t.match(entries, [
    { id: second.id, state: 'complete', base: first.id, verified: { level: 1 } },
    { id: first.id, verified: null },
    { id: whole.id, base: null },
  ])
  const withoutStore = await readCatalogue({ ...desk, store: undefined })
  t.same(
    withoutStore.entries.map(({ id }) => id),
    entries.map(({ id }) => id),
    'a lost database still has its backups',
  )
})

t.test('What was damaged is refused in words, and the target stays as it was', async (t) => {
  const { desk, folder } = await newDesk(t)
  const { id } = await make(desk)
  const manifestFile = join(folder, id, 'manifest.json')
  const events = join(folder, id, readdirSync(join(folder, id)).find((name) => name.startsWith('events')) as string)
  const [manifestText, bytes] = [readFileSync(manifestFile, 'utf8'), readFileSync(events)]
  const target = await newDatabase(t)
  const altered = (change: (manifest: Manifest) => void) => {
    const manifest = JSON.parse(manifestText) as Manifest
    change(manifest)
    writeFileSync(manifestFile, JSON.stringify(manifest))
  }
  const flip = () => {
    const flipped = Buffer.from(bytes)
    flipped[bytes.length >> 1] = (flipped[bytes.length >> 1] as number) ^ 1
    writeFileSync(events, flipped)
  }
  const named = (name: string) => () => altered(({ files }) => Object.assign(files[0] as object, { name }))
  const cases: [what: string, damage: () => void, said: RegExp][] = [
    ['one flipped bit', flip, /has changed since it was written: its SHA-256 is/],
    ['a truncated file', () => truncateSync(events, bytes.length - 10), /bytes, and the manifest says/],
    ['a longer file', () => appendFileSync(events, 'x'), /bytes, and the manifest says/],
    ['fewer events', () => altered((m) => Object.assign(m.contents as object, { events: 499 })), /contradicts itself/],
    ['another head', () => altered((m) => Object.assign(m.contents as object, { head: 3 })), /contradicts itself/],
    [
      'another digest',
      () => altered((m) => Object.assign(m.contents as object, { events_digest: '0'.repeat(32) })),
      /contradicts/,
    ],
    ['a name that leads out', named('../x'), /names the file "\.\.\/x", which would lie outside/],
    ['an absolute name', named('/etc/passwd'), /names the file "\/etc\/passwd", which would lie outside/],
    ['no JSON', () => writeFileSync(manifestFile, '{'), /is not JSON/],
    ['a newer format', () => altered((m) => Object.assign(m, { format: 2 })), /which a newer Annals wrote/],
    ['another id', () => altered((m) => Object.assign(m, { id: 'backup_20200101_000000' })), /is the manifest of/],
  ]
  for (const [what, damage, said] of cases) {
    damage()
    const error = await failure(restore(desk, id, target))
    t.match(error.message, said, what)
    t.same(await runSql(target, `SELECT FROM pg_class WHERE relname = 'events'`), [], `${what}: nothing was written`)
    writeFileSync(manifestFile, manifestText)
    writeFileSync(events, bytes)
  }
  await restore(desk, id, target)
  const again = await failure(restore(desk, id, target))
  t.match(again.message, /the store is not empty: it holds 500 rows in events, 2 rows in snapshots/)
  t.match(await failure(make(desk, 'backup_20200101_000000')), { kind: 'not_found' })
  t.match(await failure(make(desk, '../x')), { kind: 'refused', message: /is no id of a backup/ })
})
