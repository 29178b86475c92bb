// Base backups, the archived log, and recovery to a moment, with Debian's server and programs.

import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createBackup } from '../../src/backup/create-backup.ts'
import type { Desk } from '../../src/backup/desk.ts'
import { openDestination } from '../../src/backup/destinations/destinations.ts'
import type { JobContext } from '../../src/backup/driver.ts'
import { type Manifest, manifestText } from '../../src/backup/manifest.ts'
import { type RecoverOrder, recover } from '../../src/backup/recovery/recover.ts'
import { readTarget } from '../../src/backup/recovery/recovery-target.ts'
import { verifyBackup } from '../../src/backup/verify-backup.ts'
import { archiveFile, fetchFile, type WalError } from '../../src/backup/wal/archive-file.ts'
import { fetchCommand, walConfiguration } from '../../src/backup/wal/wal-configuration.ts'
import { readBackupFigures } from '../../src/db/backup/backup-figures.ts'
import { connectToStore } from '../../src/db/backup/store-connection.ts'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { failure } from '../support/backups.ts'
import { DEBIAN_BIN, isDebianPostgresAbsent, startDebianOn, startDebianPostgres } from '../support/debian-postgres.ts'
import { runSql, type Teardown, testFolder } from '../support/postgres.ts'
import { MAIN, PROGRAM } from '../support/program.ts'
import { spawnAnnals, until } from '../support/service.ts'

const context = (): JobContext => ({
  signal: new AbortController().signal,
  progress() {},
  log() {},
  pgBin: DEBIAN_BIN,
})

const walFailure = (promise: Promise<void>) =>
  promise.then(
    () => 'it did not fail',
    (error: WalError) => error,
  )

t.test('A file of the log is archived whole or not at all, and never over another one', async (t) => {
  const folder = testFolder(t)
  const [archive, log] = [join(folder, 'archive'), join(folder, 'pg_wal')]
  mkdirSync(log)
  const name = '000000010000000000000003'
  const segment = join(log, name)
  writeFileSync(segment, Buffer.alloc(1024, 3))
  await archiveFile(segment, archive)
  t.same(readdirSync(archive), [name], 'and nothing beside it')
  await archiveFile(segment, archive)
  t.pass('a second time, as after a crash of the server')
  writeFileSync(segment, Buffer.alloc(1024, 4))
  t.match(await walFailure(archiveFile(segment, archive)), { message: /is there already and differs/, exitCode: 1 })
  t.same(readFileSync(join(archive, name)), Buffer.alloc(1024, 3))
  t.same(readdirSync(archive), [name])
  await t.rejects(archiveFile(join(log, 'postgresql.conf'), archive), {
    exitCode: 1,
    message: /is not the name of a file/,
  })
  await t.rejects(archiveFile(join(log, '000000010000000000000004'), archive), { message: /can't be archived/ })

  const target = join(log, 'RECOVERYXLOG')
  await fetchFile(name, target, archive)
  t.same(readFileSync(target), Buffer.alloc(1024, 3))
  t.match(
    await walFailure(fetchFile('000000010000000000000009', target, archive)),
    { exitCode: 100 },
    'the end of the log',
  )
  t.match(await walFailure(fetchFile('../../etc/passwd', target, archive)), { exitCode: 200 })
  t.match(
    await walFailure(fetchFile(name, target, join(folder, 'gone'))),
    { exitCode: 200 },
    'which a folder that is away is not',
  )
  mkdirSync(join(folder, 'unmounted'))
  await t.rejects(fetchFile(name, target, join(folder, 'unmounted')), { exitCode: 200, message: /is it mounted/ })

  const cli = spawnAnnals(t, ['wal', 'fetch', '000000010000000000000009', target, '--from', archive])
  t.equal(await cli.exit, 100)
  t.match(await walFailure(archiveFile(segment, '/proc/annals/wal')), { exitCode: 1, message: /can't be archived/ })

  /** As PostgreSQL runs a restore_command, which takes 1 to 125 for the end of the log. */
  const asPostgres = (program: readonly string[], file: string) =>
    spawnSync('sh', ['-c', fetchCommand({ program, archive }).replace('%f', file).replace('%p', target)]).status
  t.equal(asPostgres(PROGRAM, name), 0)
  t.equal(asPostgres(PROGRAM, '000000010000000000000009'), 1)
  t.equal(asPostgres([...PROGRAM.slice(0, -1), `${MAIN}.gone`], name), 200, 'nor is an Annals that is not there')
  t.equal(asPostgres(['/gone/node', MAIN], name), 200)
  t.throws(() => walConfiguration({ program: ['annals'], archive: 'wal' }), { message: /absolute path/ })
  const text = walConfiguration({ program: ["/opt/it's/node"], archive: '/var/my wal' })
  t.match(text, `archive_command = '''/opt/it''\\''''s/node'' wal archive "%p" --to ''/var/my wal'' || exit 1'`)
})

/** A server that archives its log, with a store in it. */
async function newServer(t: Teardown) {
  const archive = join(testFolder(t), 'archive')
  mkdirSync(archive)
  // Node.js is started for each file elsewhere; here it would take most of the time.
  const archiveCommand = `test ! -e ${archive}/%f && cp %p ${archive}/%f`
  chmodSync(archive, 0o777)
  const server = await startDebianPostgres(t, { archive_mode: 'on', archive_command: archiveCommand })
  // Comes along in the base backup: the machine does not lose power in a test.
  appendFileSync(join(server.folder, 'postgres', 'postgresql.conf'), 'fsync = off\n')
  const url = server.adminUrl.replace(/\/[^/?]*(\?|$)/, '/annals$1')
  await runMigrations(url)
  const folder = join(testFolder(t), 'backups')
  const desk: Desk = { destination: openDestination(folder), store: { url, schema: 'public' } }
  const settle = async () => {
    const [{ name }] = (await runSql<{ name: string }>(url, 'SELECT pg_walfile_name(pg_switch_wal()) AS name')) as [
      { name: string },
    ]
    await until(() => existsSync(join(archive, name)))
  }
  const order: Omit<RecoverOrder, 'folder' | 'target'> = {
    ...{ destination: desk.destination, restoreCommand: `cp ${archive}/%f %p`, onTarget: 'promote' },
  }
  return { server, url, desk, folder, archive, settle, order }
}

const append = (url: string, stream: string, from: number, to: number) =>
  runSql(
    url,
    `INSERT INTO events (stream_id, version, event_type, event_data) SELECT '${stream}', v, 'T', '\\x00' FROM generate_series(${from}, ${to}) AS v`,
  )

const lastOf = async (url: string) =>
  Object.fromEntries(
    (
      await runSql<{ id: string; last: string }>(
        url,
        'SELECT stream_id AS id, max(version) AS last FROM events GROUP BY 1',
      )
    ).map(({ id, last }) => [id, Number(last)]),
  )

const newFolder = (t: Teardown) => join(testFolder(t), 'data')

t.test(
  'A log that can not be archived is measured, and nothing of it is lost',
  { skip: isDebianPostgresAbsent },
  async (t) => {
    const { url, archive, settle } = await newServer(t)
    const wal = async () => {
      const client = await connectToStore({ url, schema: 'public' }, 'test')
      const figures = await readBackupFigures((text, values) => client.query(text, values), 'public')
      await client.end()
      return figures.wal
    }
    const isFailing = async () => {
      const { last_archived: archived, last_failed: failed } = (await wal()) ?? {}
      return (failed ?? 0) > (archived ?? 0)
    }
    await settle()
    // The archiver tells a little later than it has done it.
    await until(async () => (await wal())?.last_archived !== null)
    t.match(await wal(), { last_failed: null, failures: 0 })
    renameSync(archive, `${archive}-gone`)
    const names: string[] = []
    const store = async (version: number) => {
      await append(url, 'order', version, version)
      const [row] = await runSql<{ name: string }>(url, 'SELECT pg_walfile_name(pg_switch_wal()) AS name')
      names.push(row?.name as string)
    }
    await store(1)
    await until(isFailing)
    await store(2)
    t.ok(((await wal())?.failures ?? 0) > 0)
    renameSync(`${archive}-gone`, archive)
    // Which wakes the archiver, that otherwise tries again after a minute.
    await store(3)
    await until(async () => !(await isFailing()))
    await until(() => names.every((name) => existsSync(join(archive, name))))
    t.equal(names.length, 3)
  },
)

t.test('Recovery to a moment, and a base backup that was damaged', { skip: isDebianPostgresAbsent }, async (t) => {
  const { url, desk, folder, settle, order, archive } = await newServer(t)
  await append(url, 'order-123', 1, 50)
  const base = await createBackup(desk, { type: 'physical', options: {} }, context())
  t.same(readdirSync(join(folder, base.id)).toSorted(), [
    ...['backup_manifest', 'base.tar.gz', 'manifest.json', 'pg_wal.tar.gz'],
  ])
  await append(url, 'order-123', 51, 55)
  await append(url, 'other', 1, 10)
  const [{ time }] = (await runSql<{ time: string }>(
    url,
    `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS time`,
  )) as [{ time: string }]
  await append(url, 'later', 1, 3)
  const [{ lsn }] = (await runSql<{ lsn: string }>(url, 'SELECT pg_current_wal_insert_lsn() AS lsn')) as [
    { lsn: string },
  ]
  // One transaction, as the appends of several clients that were committed together: the target is the third of it.
  await runSql(
    url,
    `BEGIN; INSERT INTO events (stream_id, version, event_type, event_data) VALUES ('order-123', 56, 'T', '\\x00'), ('other', 11, 'T', '\\x00'),
       ('order-123', 57, 'Bad', '\\x00'), ('other', 12, 'T', '\\x00'); COMMIT`,
  )
  await append(url, 'order-123', 58, 60)
  await settle()
  const [{ epoch }] = (await runSql<{ epoch: string }>(url, 'SELECT epoch FROM annals_head')) as [{ epoch: string }]

  const cases: [
    what: string,
    target: Parameters<typeof readTarget>[0],
    last: Record<string, number>,
    putBack: number,
  ][] = [
    ['a time', { time }, { 'order-123': 55, other: 10 }, 0],
    ['just before an event', { event: 'order-123@57' }, { 'order-123': 56, other: 11, later: 3 }, 2],
    ['all of the log', {}, { 'order-123': 60, other: 12, later: 3 }, 0],
  ]
  for (const [what, target, last, putBack] of cases) {
    const data = newFolder(t)
    const recovered = await recover({ ...order, folder: data, target: readTarget(target) }, context())
    const events = Object.values(last).reduce((sum, each) => sum + each, 0)
    t.match(recovered, { base: base.id, put_back: putBack, contents: { events, head: events } }, what)
    t.notOk(existsSync(join(data, 'recovery.signal')), what)
    const there = await startDebianOn(t, data)
    t.same(await lastOf(there.url), last, what)
    const [head] = await runSql(there.url, 'SELECT epoch, position::int FROM annals_head')
    t.equal(head?.['position'], events, what)
    t.not(head?.['epoch'], epoch, `${what}: a new epoch`)
    await append(there.url, 'order-123', (last['order-123'] as number) + 1, 70)
    t.match(
      await runSql(there.url, `SELECT kind, state FROM annals_jobs WHERE kind = 'restore'`),
      [{ state: 'succeeded' }],
      what,
    )
    await there.stop()
  }

  const paused = newFolder(t)
  await recover({ ...order, folder: paused, target: readTarget({ lsn }), onTarget: 'pause' }, context())
  const there = await startDebianOn(t, paused, (state) => state.is_paused)
  t.same(await lastOf(there.url), { 'order-123': 55, other: 10, later: 3 }, 'a server that pauses can be read')
  await runSql(there.url, 'SELECT pg_wal_replay_resume()')
  await until(async () => (await runSql(there.url, 'SELECT pg_is_in_recovery() AS it'))[0]?.['it'] === false)
  const renewed = spawnAnnals(t, ['restore', 'new-epoch', '--database-url', there.url])
  t.equal(await renewed.exit, 0, renewed.stderr.join('\n'))
  await there.stop()

  const shut = newFolder(t)
  await recover({ ...order, folder: shut, target: readTarget({ lsn }), onTarget: 'shutdown' }, context())
  const { evidence } = await failure(startDebianOn(t, shut))
  t.match(evidence.join('\n'), /shutdown at recovery target/, 'a server that is started on it shuts down there')
  t.notMatch(evidence.join('\n'), /FATAL/, 'and what it said to who asked meanwhile is not the reason')
  const state = execFileSync(join(DEBIAN_BIN, 'pg_controldata'), [shut], { env: { LC_ALL: 'C' }, encoding: 'utf8' })
  t.match(state, /^Database cluster state: +shut down in recovery$/m, 'in order')
  appendFileSync(join(shut, 'postgresql.auto.conf'), `recovery_target_action = 'promote'\n`)
  const promoted = await startDebianOn(t, shut)
  t.same(await lastOf(promoted.url), { 'order-123': 55, other: 10, later: 3 }, 'and can go on')
  await promoted.stop()

  const gone = newFolder(t)
  const refused = (target: Parameters<typeof readTarget>[0], more: Partial<RecoverOrder> = {}) =>
    failure(recover({ ...order, folder: gone, target: readTarget(target), ...more }, context()))
  t.match(await refused({ event: 'order-123@99' }), { kind: 'not_found', message: /no event order-123@99/ })
  t.match(await refused({ event: 'order-123@50' }), { message: /before the end of every base backup/ })
  t.match(await refused({ time: '2020-01-01T00:00:00Z' }), { message: /before the end of every base backup/ })
  t.match(await refused({ time: '2120-01-01T00:00:00Z' }), { message: /log ends before the target/ })
  t.match(await refused({}, { base: 'backup_20200101_000000' }), { kind: 'not_found' })
  t.same(readdirSync(gone), [], 'nothing is left')
  writeFileSync(join(gone, 'mine'), 'x')
  t.match(await refused({}), { message: /is not empty/ })
  t.same(readdirSync(gone), ['mine'])
  rmSync(join(gone, 'mine'))
  // The folder that is not there must not look like the end of the log.
  const cli = spawnAnnals(
    t,
    ['restore', 'pitr', '--to', gone, '--dir', folder, '--wal', `${archive}-gone`, '--target-event', 'order-123@57'],
    { PG_BIN: DEBIAN_BIN },
  )
  t.equal(await cli.exit, 4)
  t.match(cli.stderr.join('\n'), /could not restore file|can't be fetched/)
  t.same(readdirSync(gone), [])
  for (const [given, said] of [
    [{ time: 'yesterday' }, /is no moment/],
    [{ time: '2026-01-15T09:30:00' }, /with an offset/],
    [{ lsn: '16B3748' }, /is no place of the log/],
    [{ event: 'order-123' }, /is no event/],
    [{ event: 'order@0' }, /is no event/],
    [{ lsn: '0/1', event: 'a@1' }, /give one of/],
  ] as const) {
    t.throws(() => readTarget(given), { message: said })
  }

  // Last, because it damages the backup.
  const { id } = base
  t.match(await verifyBackup(desk, { id, level: 1 }, context()), { level: 1 })
  const file = join(folder, id, 'base.tar.gz')
  const manifestFile = join(folder, id, 'manifest.json')
  const whole = readFileSync(file)
  const manifest = JSON.parse(readFileSync(manifestFile, 'utf8')) as Manifest
  const flipped = Buffer.from(whole)
  flipped[whole.length >> 1] = (flipped[whole.length >> 1] as number) ^ 1
  writeFileSync(file, flipped)
  t.match((await failure(verifyBackup(desk, { id, level: 0 }, context()))).message, /^base\.tar\.gz of .* has changed/)

  // Inside, and under a manifest that lies: only PostgreSQL's own sums tell.
  const inside = join(testFolder(t), 'inside')
  mkdirSync(inside)
  writeFileSync(file, whole)
  execFileSync('tar', ['-xzf', file, '-C', inside])
  const victim = 'base/1/PG_VERSION'
  writeFileSync(join(inside, victim), 'X5\n')
  // With zeros behind its end, which tar need not read.
  execFileSync('sh', ['-c', '{ tar -c -C "$1" . && head -c 3000000 /dev/zero; } | gzip > "$2"', 'sh', inside, file])
  const bytes = readFileSync(file)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const files = manifest.files.map((each) =>
    each.name === 'base.tar.gz' ? { ...each, bytes: bytes.length, sha256 } : each,
  )
  writeFileSync(manifestFile, manifestText({ ...manifest, files }))
  const found = await failure(verifyBackup(desk, { id, level: 1 }, context()))
  t.match(found, { kind: 'damaged', message: /pg_verifybackup found/ })
  t.match(found.evidence.join('\n'), /checksum mismatch for file "base\/1\/PG_VERSION"/)
  t.ok(statSync(file).size > 0)
})
