import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { readCatalogue } from '../../src/backup/catalogue.ts'
import { createBackup } from '../../src/backup/create-backup.ts'
import { openDestination } from '../../src/backup/destinations/destinations.ts'
import { resolveId } from '../../src/backup/destinations/latest.ts'
import type { Manifest } from '../../src/backup/manifest.ts'
import type { Progress } from '../../src/backup/progress.ts'
import { verifyBackup } from '../../src/backup/verify-backup.ts'
import { startEmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.ts'
import { openEventStore } from '../../src/index.ts'
import {
  appendRows,
  context,
  eventsOf,
  failure,
  makeArchive,
  newDatabase,
  newDesk,
  restore,
} from '../support/backups.ts'
import { createTestDatabase, POSTGRES_15, runSql, testFolder } from '../support/postgres.ts'
import { spawnAnnals, until } from '../support/service.ts'

const server = await createTestDatabase(t)

t.test('An archive with increments comes back row by row, with a new epoch, and is written down', async (t) => {
  const { desk, url, folder } = await newDesk(t, server)
  t.match(await failure(resolveId(desk.destination, 'latest')), {
    kind: 'not_found',
    message: /no backup of a store in/,
  })
  const whole = await makeArchive(desk)
  await appendRows(url, 300)
  const first = await makeArchive(desk, whole.id)
  await runSql(url, `UPDATE snapshots SET version = 9 WHERE stream_id = 'order-2'`)
  const second = await makeArchive(desk, first.id)
  t.match(second, { base: first.id, contents: { events: 800, head: 800, snapshots: 2 } })
  t.same(await verifyBackup(desk, { id: second.id, level: 1 }, context()), { id: second.id, level: 1, backups: 3 })

  const target = await newDatabase(t, server)
  const restored = spawnAnnals(t, ['restore', 'latest', '--into', target], { BACKUP_DIR: folder })
  t.equal(await restored.exit, 0, restored.stderr.join('\n'))
  t.match(restored.stdout[0], `restored and compared: ${second.id}: archive since ${first.id}`)
  t.same(await eventsOf(target), await eventsOf(url))
  const snapshots = 'SELECT to_jsonb(s) AS row FROM snapshots s ORDER BY stream_id'
  t.same(await runSql(target, snapshots), await runSql(url, snapshots))
  const head = 'SELECT position, largest_event_bytes, epoch FROM annals_head'
  const [before, after] = [(await runSql(url, head))[0], (await runSql(target, head))[0]]
  t.equal(after?.['position'], before?.['position'])
  t.equal(after?.['largest_event_bytes'], before?.['largest_event_bytes'])
  t.not(after?.['epoch'], before?.['epoch'])
  await appendRows(target, 10)
  t.equal((await eventsOf(target)).length, 810, 'the restored store goes on')

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

t.test('Progress counts events as events, and rows of other tables as rows', async (t) => {
  const { desk } = await newDesk(t, server)
  const counted = new Map<string, string>()
  const job = { ...context(), progress: ({ step, unit }: Progress) => void counted.set(step, unit) }
  const { id } = await createBackup(desk, { type: 'archive', options: {} }, job)
  await verifyBackup(desk, { id, level: 3 }, job)
  t.match(Object.fromEntries(counted), {
    'copying events': 'events',
    'copying snapshots': 'rows',
    'copying consumers': 'rows',
    [`reading snapshots of ${id}`]: 'rows',
    'restoring snapshots': 'rows',
    'comparing events': 'events',
    'comparing snapshots': 'rows',
  })
})

t.test('A check shows in the database as what it is', async (t) => {
  const { desk, url } = await newDesk(t, server)
  const { id } = await makeArchive(desk)
  const holder = new pg.Client({ connectionString: url })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('BEGIN; LOCK TABLE annals_head IN ACCESS EXCLUSIVE MODE')
  const verified = verifyBackup(desk, { id, level: 3 }, context())
  // On another connection: within a transaction the view stays as it was.
  const waiting = async () => {
    const rows = await runSql<{ name: string }>(
      url,
      `SELECT application_name AS name FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name LIKE 'annals %'`,
    )
    return rows[0]?.name
  }
  await until(async () => (await waiting()) !== undefined)
  t.match(await waiting(), /^annals verify \(process \d+\)$/)
  await holder.query('ROLLBACK')
  t.match(await verified, { level: 3, compared: 500 })
})

t.test('What was damaged is refused in words, and the target stays as it was', async (t) => {
  const { desk, folder } = await newDesk(t, server)
  const { id } = await makeArchive(desk)
  const manifestFile = join(folder, id, 'manifest.json')
  const events = join(folder, id, readdirSync(join(folder, id)).find((name) => name.startsWith('events')) as string)
  const [manifestText, bytes] = [readFileSync(manifestFile, 'utf8'), readFileSync(events)]
  const target = await newDatabase(t, server)
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
  t.match(await failure(makeArchive(desk, 'backup_20200101_000000')), { kind: 'not_found' })
  t.match(await failure(makeArchive(desk, '../x')), { kind: 'refused', message: /is no id of a backup/ })
})

t.test('A backup under load shows one moment, with every event that was acknowledged before it', async (t) => {
  const { desk, url } = await newDesk(t, server)
  const store = await openEventStore({ databaseUrl: url })
  t.teardown(() => store.close())
  let acknowledged = 0
  let isDone = false
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let i = 0; !isDone; i++) {
      const { position } = await store.append(`load-${writer}-${i % 5}`, [{ type: 'A', data: { i } }, { type: 'B' }])
      acknowledged = Math.max(acknowledged, position)
    }
  })
  for (let base: string | undefined, round = 0; round < 4; round++) {
    const before = acknowledged
    const { id, contents } = await makeArchive(desk, base)
    t.ok((contents?.head ?? 0) >= before, `${contents?.head} is not before ${before}`)
    t.equal(contents?.events, contents?.head, 'positions have no hole')
    base = id
    if (round === 3)
      t.match(await verifyBackup(desk, { id, level: 3 }, context()), { compared: contents?.head, backups: 4 })
  }
  isDone = true
  await Promise.all(writers)
})

t.test(
  'What a killed backup left goes with the first backup a day later, and what is being written stays',
  async (t) => {
    const { desk, folder } = await newDesk(t, server)
    const left = [
      '.backup_20260101_000000.partial',
      '.backup_20260101_000001.removing',
      '.backup_20260101_000002.partial',
    ]
    const others = ['.backup_20260101_000000', '.mine.partial']
    const [old, recent] = [new Date(Date.now() - 25 * 3_600_000), new Date(Date.now() - 23 * 3_600_000)]
    for (const name of [...left, ...others]) {
      const file = join(folder, name, 'base', 'events')
      mkdirSync(join(file, '..'), { recursive: true })
      writeFileSync(file, 'x')
      const written = name === left[2] ? recent : old
      utimesSync(file, written, written)
      for (const parent of [join(file, '..'), join(folder, name)]) utimesSync(parent, old, old)
    }
    const { id } = await makeArchive(desk)
    t.same(readdirSync(folder).toSorted(), [...others, left[2] as string, id].toSorted())
  },
)

t.test('A backup that the disk has no room for leaves nothing that looks good', async (t) => {
  const { desk, url } = await newDesk(t, server)
  const small = testFolder(t)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small], { stdio: 'pipe' })
  } catch {
    return t.pass('a small disk', { skip: 'only root can make one' })
  }
  t.teardown(() => execFileSync('umount', ['--lazy', small]))
  await runSql(
    url,
    `INSERT INTO events (stream_id, version, event_type, event_data)
     SELECT 'large', i, 'X', convert_to((SELECT string_agg(gen_random_uuid()::text || n || i, '') FROM generate_series(1, 20) AS n), 'UTF8')
       FROM generate_series(1, 500) AS i`,
  )
  const full = { ...desk, destination: openDestination(small) }
  const error = await failure(makeArchive(full))
  t.equal(error.kind, 'failed')
  t.match(error.message, /no space left/)
  t.same(readdirSync(small), [])
  t.match((await readCatalogue(full)).entries, [{ state: 'failed', error: /no space left/ }])
})

const has15 = existsSync(POSTGRES_15)
t.test('An archive of PostgreSQL 15 goes into 18', { skip: !has15 && 'PostgreSQL 15 is not installed' }, async (t) => {
  const quiet = { info() {}, warn() {}, error() {} }
  const start = async (binaries: { binaries?: string }) => {
    const running = await startEmbeddedPostgres({
      dataDir: testFolder(t),
      log: quiet,
      settings: { fsync: 'off' },
      ...binaries,
    })
    t.teardown(() => running.stop())
    return running
  }
  const [old, recent] = [await start({ binaries: POSTGRES_15 }), await start({})]
  t.match([old.version, recent.version], [/^15\./, /^18\./])
  const { desk } = await newDesk(t, { url: old.adminUrl, name: 'old' })
  const { id } = await makeArchive(desk)
  await restore(desk, id, recent.url)
  t.same(await eventsOf(recent.url), await eventsOf(desk.store?.url as string))
})
