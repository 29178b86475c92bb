// Backups by pgBackRest with Debian's server: made, verified, damaged, and recovered from.

import { appendFileSync, chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { backupIdOf } from '../../src/backup/backup-id.ts'
import { createBackup } from '../../src/backup/create-backup.ts'
import type { Desk } from '../../src/backup/desk.ts'
import { openDestination } from '../../src/backup/destinations/destinations.ts'
import type { CreateOptions, JobContext } from '../../src/backup/driver.ts'
import { type Manifest, manifestText, sizeOf } from '../../src/backup/manifest.ts'
import { readInfo } from '../../src/backup/pgbackrest/info.ts'
import type { Schedule } from '../../src/backup/policy/policy.ts'
import { parsePolicy } from '../../src/backup/policy/read-policy.ts'
import { type RecoverOrder, recover } from '../../src/backup/recovery/recover.ts'
import { readTarget } from '../../src/backup/recovery/recovery-target.ts'
import { runSchedule } from '../../src/backup/schedules/run-schedule.ts'
import { verifyBackup } from '../../src/backup/verify-backup.ts'
import type { StoreAddress } from '../../src/db/backup/store-connection.ts'
import { startEmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.ts'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { failure } from '../support/backups.ts'
import { DEBIAN_BIN, isDebianPostgresAbsent, startDebianPostgres } from '../support/debian-postgres.ts'
import { quiet, runSql, type Teardown, testFolder } from '../support/postgres.ts'

const isAbsent =
  isDebianPostgresAbsent ||
  (!existsSync('/usr/bin/pgbackrest') && 'pgBackRest is not installed: apt-get install pgbackrest')

/** Where a repository will be, and the command that archives into it. */
function newRepository(t: Teardown) {
  const parent = testFolder(t)
  chmodSync(parent, 0o777)
  const repository = join(parent, 'repository')
  const context: JobContext = {
    ...{ signal: new AbortController().signal, progress() {}, log() {} },
    ...{ pgBin: DEBIAN_BIN, pgbackrestRepository: repository },
  }
  const archiveCommand = `pgbackrest --config=${repository}/annals.conf --stanza=annals archive-push %p`
  return { repository, context, archiveCommand }
}

async function newDesk(t: Teardown, adminUrl: string): Promise<{ url: string; desk: Desk }> {
  const url = adminUrl.replace(/\/[^/?]*(\?|$)/, '/annals$1')
  await runMigrations(url)
  const destination = openDestination(join(testFolder(t), 'backups'))
  return { url, desk: { destination, store: { url, schema: 'public' } } }
}

const append = (url: string, stream: string, events: number) =>
  runSql(
    url,
    `INSERT INTO events (stream_id, version, event_type, event_data) SELECT '${stream}', v, 'T', '\\x00' FROM generate_series(1, ${events}) AS v`,
  )

const files = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

t.test(
  'A backup of pgBackRest is in the catalogue, verified, and recovered to a moment',
  { skip: isAbsent },
  async (t) => {
    const { repository, context, archiveCommand } = newRepository(t)
    const server = await startDebianPostgres(t, { archive_mode: 'on', archive_command: archiveCommand })
    appendFileSync(join(server.folder, 'postgres', 'postgresql.conf'), 'fsync = off\n')
    const { url, desk } = await newDesk(t, server.adminUrl)
    const create = (options: CreateOptions) => createBackup(desk, { type: 'pgbackrest', options }, context)

    await append(url, 'order-1', 100)
    const full = await create({ kind: 'full' })
    t.match(full, { tool: /^pgBackRest \d/, base: null, details: { kind: 'full', label: /F$/, head: 100 } })
    await append(url, 'order-2', 50)
    const incr = await create({ kind: 'incr' })
    t.match(incr.details, { kind: 'incr', label: /F_.*I$/, head: 150 })
    const policy = parsePolicy(
      'schedules: [{ name: daily, cron: 0 2 * * *, task: create, type: pgbackrest, kind: diff, verify: 1 }]',
      'here',
    )
    const work = { store: desk.store as StoreAddress, policy, local: desk.destination, offsite: undefined }
    await runSchedule(policy.schedules[0] as Schedule, work, context)
    const diff = (await desk.destination.list()).backups.at(-1)?.manifest as Manifest
    t.match(diff.details, { kind: 'diff', label: /F_.*D$/ }, 'a schedule makes the kind that the policy says')
    t.ok(sizeOf(incr) < sizeOf(full), 'the catalogue has the size in the repository')
    const rows = await runSql<{ bytes: string }>(url, `SELECT bytes FROM annals_backups WHERE id = '${full.id}'`)
    t.equal(Number(rows[0]?.bytes), sizeOf(full))
    t.match(await verifyBackup(desk, { id: incr.id, level: 1 }, context), { level: 1 })

    await append(url, 'order-3', 25)
    await sleep(50)
    const [{ now }] = (await runSql<{ now: string }>(
      url,
      `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS now`,
    )) as [{ now: string }]
    await sleep(50)
    await append(url, 'bad', 10)
    await runSql(url, 'SELECT pg_switch_wal()')
    await server.stop()

    const recoverTo = (target: Parameters<typeof readTarget>[0], more: Partial<RecoverOrder> = {}) => {
      const parent = testFolder(t)
      chmodSync(parent, 0o755)
      const folder = join(parent, 'recovered')
      const order = { destination: desk.destination, restoreCommand: undefined, onTarget: 'promote' } as const
      return recover({ ...order, folder, target: readTarget(target), ...more }, context)
    }
    // As if pgBackRest had removed it: the newest of the catalogue, and not in the repository.
    const backups = desk.destination.name
    const label = String(diff.details['label']).replace(/\d{6}D$/, '999999D')
    const removed = { ...diff, id: backupIdOf(new Date(Date.now() + 60_000)), details: { ...diff.details, label } }
    mkdirSync(join(backups, removed.id))
    writeFileSync(join(backups, removed.id, 'manifest.json'), manifestText(removed))
    const recovered = await recoverTo({ time: now })
    t.match(
      recovered,
      { base: diff.id, put_back: 0, contents: { events: 175, head: 175 } },
      'from the newest that fits',
    )
    t.match(await recoverTo({ event: 'bad@4' }, { base: full.id }), {
      ...{ base: full.id, put_back: 3, contents: { events: 178 } },
    })
    t.match(await failure(recoverTo({}, { restoreCommand: 'false' })), {
      kind: 'not_found',
      message: /there is no backup of type physical in .*; for those of pgbackrest leave out --wal/,
    })
    t.match(await failure(recoverTo({ time: '2000-01-01T00:00:00Z' })), {
      kind: 'refused',
      message: /before the end of every base backup/,
    })

    const data = files(join(repository, 'repository', 'backup')).find((file) => file.endsWith('/global/1262.gz'))
    const bytes = readFileSync(data as string)
    bytes.writeUInt32BE(0xdeadbeef, 30)
    writeFileSync(data as string, bytes)
    const damaged = await failure(verifyBackup({ ...desk, store: undefined }, { id: full.id, level: 1 }, context))
    t.match(damaged, { kind: 'damaged', message: /found its repository damaged/ })
    t.match(damaged.evidence.join('\n'), /checksum invalid: 1/)
  },
)

t.test('What pgBackRest can not do is refused in words before there is a backup', { skip: isAbsent }, async (t) => {
  const { repository, context, archiveCommand } = newRepository(t)
  const server = await startDebianPostgres(t)
  const { desk } = await newDesk(t, server.adminUrl)
  const attempt = (options: CreateOptions, change: Partial<JobContext> = {}, of = desk) =>
    failure(createBackup(of, { type: 'pgbackrest', options }, { ...context, ...change }))
  t.match(await attempt({}, { pgbackrestRepository: undefined }), { kind: 'refused', message: /BACKUP_PGBACKREST_DIR/ })
  t.match(await attempt({}, { pgbackrestRepository: '/a b' }), { kind: 'refused', message: /absolute path/ })
  t.match(await attempt({}, { pgbackrestRepository: join(repository, 'below') }), {
    kind: 'refused',
    message: /annals\.conf can't be written: ENOENT/,
  })
  t.notOk(existsSync(repository))
  t.match(await attempt({}), {
    kind: 'refused',
    message: /does not archive its log into/,
    evidence: ['archive_mode = on', `archive_command = '${archiveCommand}'`],
  })

  const other = newRepository(t)
  const dataDir = testFolder(t)
  const newer = await startEmbeddedPostgres({ dataDir, log: quiet, settings: { fsync: 'off' } })
  t.teardown(() => newer.stop())
  const { desk: newerDesk } = await newDesk(t, newer.adminUrl)
  // Debian's 2.45 knows up to 15; one that knows 18 would ask for the archive next.
  t.match(await attempt({}, other.context, newerDesk), {
    kind: 'refused',
    message: /^pgBackRest 2\.\d+ does not know PostgreSQL 18: install a newer one|does not archive its log/,
  })
  t.match(await attempt({}, {}, newerDesk), { kind: 'refused', message: /is the repository of another server/ })
  t.match(readFileSync(join(repository, 'annals.conf'), 'utf8'), server.folder, 'whose configuration stays as it is')
  t.same((await desk.destination.list()).backups, [], 'and nothing is left of an attempt')
})

t.test('What pgBackRest tells is judged by its status, and what is no such answer is told', async (t) => {
  const stanza = (code: number) =>
    JSON.stringify([{ status: { code, message: 'missing stanza path' }, backup: [], db: [], name: 'annals' }])
  t.same(readInfo('[]'), { hasStanza: false, systems: [], backups: [] })
  t.same(readInfo(stanza(1)), { hasStanza: false, systems: [], backups: [] })
  t.same(readInfo(stanza(2)), { hasStanza: true, systems: [], backups: [] })
  t.throws(() => readInfo(stanza(99)), { kind: 'failed', message: /can't use its repository: missing stanza path/ })
  t.throws(() => readInfo('not JSON'), { kind: 'failed', message: /can't be read: "not JSON"/ })
  t.throws(() => readInfo('[{}]'), { kind: 'failed', message: /can't be read/ })
})
