import { spawn } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { serverRefusal } from '../../../src/db/connections/direct-connection.ts'
import type { MigrationError } from '../../../src/db/migrations/migration-error.ts'
import {
  createMigration,
  MIGRATIONS_FOLDER,
  MigrationFilesError,
  readMigrations,
} from '../../../src/db/migrations/migration-files.ts'
import { readStatus, refusal } from '../../../src/db/migrations/migration-ledger.ts'
import { MigrationSession } from '../../../src/db/migrations/migration-session.ts'
import { migrationsForHttp } from '../../../src/db/migrations/migrations-for-http.ts'
import { Migrator, type MigratorOptions, runMigrations } from '../../../src/db/migrations/migrator.ts'
import { describeSchema } from '../../../src/db/migrations/schema-description.ts'
import type { AppError } from '../../../src/errors.ts'
import { VERSION } from '../../../src/version.ts'
import { startPooler } from '../../support/pooler.ts'
import { createTestDatabase, runSql, type Teardown, testFolder, withDatabase } from '../../support/postgres.ts'
import { childCommand } from '../../support/program.ts'

const server = await createTestDatabase(t)
const FILES = readMigrations(MIGRATIONS_FOLDER)
const LATEST = FILES.length
let databases = 0

/** A fresh database on the one server of this file. */
async function newDatabase(test: Teardown, options = ''): Promise<string> {
  const name = `${server.name}_${++databases}`
  await runSql(server.url, `CREATE DATABASE ${name} ${options}`)
  test.teardown(() => runSql(server.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  return withDatabase(server.url, name)
}

/** A folder with these files; a text without a header gets one. */
function folderOf(test: Teardown, files: Record<string, string>): string {
  const folder = testFolder(test)
  for (const [name, text] of Object.entries(files)) {
    const isDown = name.includes('.down.')
    writeFileSync(join(folder, name), isDown || text.startsWith('--') ? text : `-- description: Test\n${text}`)
  }
  return folder
}

function copyOfMigrations(test: Teardown): string {
  const folder = testFolder(test)
  cpSync(MIGRATIONS_FOLDER, folder, { recursive: true })
  return folder
}

const migrator = (url: string, options: Partial<MigratorOptions> = {}): Migrator =>
  new Migrator({ connectionString: url, lockTimeoutMs: 30_000, ...options })

async function connected(test: Teardown, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'a test' })
  client.on('error', () => {})
  await client.connect()
  test.teardown(() => client.end())
  return client
}

async function errorOf(work: Promise<unknown>): Promise<MigrationError> {
  try {
    await work
  } catch (error) {
    return error as MigrationError
  }
  throw new Error('nothing was thrown')
}

const describe = async (client: pg.Client, schema = 'public') =>
  describeSchema((text, values) => client.query(text, values), schema)

t.test('A folder of migrations that breaks a rule is refused, and the file is named', async (t) => {
  const refused = (files: Record<string, string>, message: RegExp) =>
    t.throws(() => readMigrations(folderOf(t, files)), { name: 'MigrationFilesError', message })
  refused({ '0001_a.sql': '', '0001_b.sql': '' }, /0001_a and 0001_b have the same number/)
  refused({ '1_a.sql': '' }, /1_a\.sql: a migration is named/)
  refused({ '0001_A.sql': '' }, /0001_A\.sql: a migration is named/)
  refused({ '0001-a.sql': '' }, /0001-a\.sql: a migration is named/)
  refused({ '0000_a.sql': '' }, /0000_a\.sql: the first migration is 0001/)
  refused({ '0001_a.sql': '-- a comment\nSELECT 1' }, /0001_a\.sql: the header -- description: is missing/)
  refused({ '0001_a.sql': '-- x\nSELECT 1;\n-- description: Too late' }, /-- description: is missing/)
  refused(
    { '0001_a.sql': '-- description: A\n-- annals:no-transaction\nSELECT 1' },
    /0001_a\.sql: -- annals:no-transaction belongs on the first line/,
  )
  refused({ '0001_a.sql': '', '0002_b.down.sql': '' }, /0002_b\.down\.sql takes back a migration that is not there/)

  const gap = migrator(server.url, { folder: folderOf(t, { '0001_a.sql': '', '0004_d.sql': '' }) })
  await t.rejects(gap.status(), { name: 'MigrationFilesError', message: /0002 is missing between 0001_a and 0004_d/ })
  const late = migrator(server.url, { folder: folderOf(t, { '0002_b.sql': '' }) })
  await t.rejects(late.up(), { message: /0001 is missing between the beginning and 0002_b/ })
})

t.test('A migration file tells its header, and its checksum does not depend on the line ends', (t) => {
  const text = '-- annals:no-transaction\n-- description: Do it\n-- breaking: All\nSELECT 1;\n'
  const [lf] = readMigrations(folderOf(t, { '0001_a.sql': text, '0001_a.down.sql': '-- destroys: It\nSELECT 2' }))
  const [crlf] = readMigrations(folderOf(t, { '0001_a.sql': text.replaceAll('\n', '\r\n') }))
  const [other] = readMigrations(folderOf(t, { '0001_a.sql': text.replace('1', '2') }))
  t.match(lf, {
    version: 1,
    name: '0001_a',
    description: 'Do it',
    breaking: 'All',
    isTransactional: false,
    down: { destroys: 'It' },
  })
  t.match(lf?.checksum, /^[0-9a-f]{64}$/)
  t.equal(crlf?.checksum, lf?.checksum)
  t.equal(crlf?.text, lf?.text, 'the database is given LF, so that functions are the same everywhere')
  t.not(other?.checksum, lf?.checksum)
  t.end()
})

t.test('A new migration gets the next number and is one that can be read', (t) => {
  const folder = folderOf(t, { '0001_a.sql': '' })
  t.equal(createMigration(folder, 'add_user_context'), join(folder, '0002_add_user_context.sql'))
  t.match(readMigrations(folder)[1], { version: 2, description: 'Add user context' })
  t.throws(() => createMigration(folder, 'Add User'), MigrationFilesError)
  t.throws(() => createMigration(folder, '../x'), MigrationFilesError)
  t.end()
})

t.test('An empty database is brought up to date once, and the ledger says what, when, how long and who', async (t) => {
  const url = await newDatabase(t)
  const fresh = migrator(url)
  t.match(await fresh.status(), { status: 'pending', current: 0, latest: LATEST })
  t.strictSame(
    (await runMigrations(url)).map(({ name }) => name),
    FILES.map(({ name }) => name),
  )
  const status = await fresh.status()
  t.match(status, { status: 'up_to_date', current: LATEST, latest: LATEST })
  const { user } = (await runSql(url, 'SELECT session_user AS user'))[0] as { user: string }
  for (const entry of status.migrations) {
    t.equal(entry.state, 'applied')
    t.equal(entry.applied_checksum, entry.checksum)
    t.match(entry.applied_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    t.ok((entry.duration_ms as number) >= 0)
    t.ok(
      entry.applied_by?.startsWith(`${user}@`) && entry.applied_by.endsWith(`/${process.pid}`),
      entry.applied_by ?? '',
    )
  }
  t.strictSame(await fresh.up(), [], 'nothing is left to do')
  const verification = await fresh.verify()
  t.strictSame(verification.differences, [], 'migrations/schema.json is what the migrations make')
  t.ok(verification.isSound)

  const client = await connected(t, url)
  const over = await fresh.status((text, values) => client.query(text, values))
  t.strictSame(over, status, 'the status can be had over a connection that is there')
})

t.test('A dry run tries what is pending and changes nothing', async (t) => {
  const url = await newDatabase(t)
  const client = await connected(t, url)
  const catalog = async () =>
    (
      await client.query(
        `SELECT (SELECT md5(string_agg(c::text, '' ORDER BY oid)) FROM pg_class AS c) AS classes,
           (SELECT md5(string_agg(p::text, '' ORDER BY oid)) FROM pg_proc AS p) AS functions,
           (SELECT md5(string_agg(n::text, '' ORDER BY oid)) FROM pg_namespace AS n) AS schemas`,
      )
    ).rows[0]
  const before = await catalog()
  const tried = await migrator(url, { schema: 'not_there_yet' }).up({ dryRun: true })
  t.strictSame(
    tried.map(({ version }) => version),
    FILES.map(({ version }) => version),
  )
  t.ok(tried.every(({ duration_ms: ms }) => ms !== null))
  t.strictSame(await catalog(), before)

  const folder = folderOf(t, {
    '0001_a.sql': 'CREATE TABLE a ();',
    '0002_b.sql': '-- annals:no-transaction\n-- description: B\nVACUUM a',
    '0003_c.sql': 'SELECT nothing_of_the_kind;',
  })
  const partly = await migrator(url, { folder }).up({ dryRun: true })
  t.strictSame(
    partly.map(({ duration_ms: ms }) => ms === null),
    [false, true, true],
    'what runs outside of a transaction, and all after it, is not tried',
  )
  const wrong = folderOf(t, { '0001_a.sql': 'CREATE TABLE a ();\nSELECT nothing_of_the_kind;' })
  t.match(await errorOf(migrator(url, { folder: wrong }).up({ dryRun: true })), {
    kind: 'failed',
    message: /0001_a would fail: column "nothing_of_the_kind" does not exist; line 3: SELECT nothing_of_the_kind;/,
  })
  t.strictSame(await catalog(), before)
})

t.test('Five processes that start at once apply each migration exactly once', async (t) => {
  const url = await newDatabase(t)
  const runs = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const child = spawn(...childCommand(['migrate', 'up', '--json', '--database-url', url]))
      const chunks: Buffer[] = []
      child.stdout.on('data', (chunk) => chunks.push(chunk))
      const code = await new Promise((resolve) => child.once('close', resolve))
      return { code, ...(JSON.parse(Buffer.concat(chunks).toString()) as { applied: { version: number }[] }) }
    }),
  )
  t.ok(runs.every(({ code }) => code === 0))
  const applied = runs.flatMap((run) => run.applied.map(({ version }) => version))
  t.strictSame(
    applied.toSorted((a, b) => a - b),
    FILES.map(({ version }) => version),
  )
})

t.test('A migration that fails leaves nothing behind, and what was applied before it stays', async (t) => {
  const url = await newDatabase(t)
  const folder = folderOf(t, {
    '0001_a.sql': 'CREATE TABLE a ();',
    '0002_b.sql': 'CREATE TABLE b ();',
    '0003_c.sql': 'CREATE TABLE c ();\nCREATE TABLE c2 ();\nSELECT 1 / 0;',
    '0004_d.sql': 'CREATE TABLE d ();',
  })
  const four = migrator(url, { folder })
  t.match(await errorOf(four.up()), {
    kind: 'failed',
    message: '0003_c failed and left nothing behind: division by zero',
  })
  const tables = async () =>
    (
      await runSql(
        url,
        `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1`,
      )
    ).map((row) => row['relname'] as string)
  t.strictSame(await tables(), ['a', 'annals_migrations', 'b'])
  const { migrations, status, current } = await four.status()
  t.strictSame(
    migrations.map(({ state }) => state),
    ['applied', 'applied', 'pending', 'pending'],
  )
  t.match({ status, current }, { status: 'pending', current: 2 })
  t.equal(migrations[2]?.failure?.error, 'division by zero')
  t.match(migrations[2]?.failure?.at, /^\d{4}-/)
  t.equal(migrations[3]?.failure, null, 'the one after it was not tried')

  writeFileSync(join(folder, '0003_c.sql'), '-- description: Mended\nCREATE TABLE c ();')
  t.strictSame(
    (await migrator(url, { folder }).up()).map(({ version }) => version),
    [3, 4],
  )
  t.equal((await migrator(url, { folder }).status()).migrations[2]?.failure, null)
  t.strictSame(await tables(), ['a', 'annals_migrations', 'b', 'c', 'd'])
})

t.test('A migration must not end its transaction by itself', async (t) => {
  const url = await newDatabase(t)
  for (const text of ['CREATE TABLE a (); COMMIT;', 'COMMIT; BEGIN;', 'ROLLBACK;']) {
    const folder = folderOf(t, { '0001_a.sql': text })
    t.match(await errorOf(migrator(url, { folder }).up()), {
      kind: 'failed',
      message: /leave BEGIN, COMMIT and ROLLBACK out/,
    })
    t.equal((await migrator(url, { folder }).status()).status, 'pending')
  }
})

t.test(
  'A file that was changed, renamed or deleted after it was applied is refused until that is accepted',
  async (t) => {
    const url = await newDatabase(t)
    const folder = copyOfMigrations(t)
    await migrator(url, { folder }).up()
    const path = join(folder, '0002_snapshots.sql')
    const text = readFileSync(path, 'utf8')

    writeFileSync(path, text.replaceAll('\n', '\r\n'))
    t.equal((await migrator(url, { folder }).status()).status, 'up_to_date', 'other line ends are no change')

    writeFileSync(path, text.replace('version BIGINT', 'version  BIGINT'))
    const changed = migrator(url, { folder })
    const drift = await changed.status()
    t.equal(drift.status, 'drift')
    t.equal(drift.migrations[1]?.state, 'changed')
    const refused = await errorOf(changed.up())
    t.equal(refused.kind, 'drift')
    for (const part of ['0002_snapshots', drift.migrations[1]?.checksum, drift.migrations[1]?.applied_checksum]) {
      t.ok(refused.message.includes(part as string), part as string)
    }
    t.match(await errorOf(changed.down()), { kind: 'drift' })

    t.match(await errorOf(changed.repair({ accept: '0002_snapshots', reason: ' ' })), { kind: 'refused' })
    t.match(await errorOf(changed.repair({ accept: '0001_events', reason: 'x' })), {
      message: /0001_events is applied: there is nothing to accept/,
    })
    t.match(await errorOf(changed.repair({ accept: '0099_x', reason: 'x' })), {
      message: /there is no migration 0099_x/,
    })
    await changed.repair({ accept: '0002_snapshots', reason: 'white space only' })
    const accepted = await changed.status()
    t.equal(accepted.status, 'up_to_date')
    t.match(accepted.migrations[1]?.note, /white space only \(accepted [0-9a-f]{64} for [0-9a-f]{64}\) by \w+/)

    renameSync(join(folder, '0001_events.sql'), join(folder, '0001_facts.sql'))
    t.match(await errorOf(migrator(url, { folder }).up()), { message: /0001_facts was applied under another name/ })
    renameSync(join(folder, '0001_facts.sql'), join(folder, '0001_events.sql'))

    rmSync(path)
    const missing = migrator(url, { folder })
    t.match(await missing.status(), { status: 'drift' })
    t.equal((await missing.status()).migrations[1]?.state, 'missing')
    t.match(await errorOf(missing.up()), {
      kind: 'drift',
      message: /0002_snapshots was applied, and its file is missing/,
    })
    await missing.repair({ accept: '2', reason: 'moved into 0001' })
    t.equal((await missing.status()).status, 'up_to_date')
    t.notOk((await missing.status()).migrations.some(({ version }) => version === 2))
  },
)

t.test('A database that is newer than the code is refused, and both versions are named', async (t) => {
  const url = await newDatabase(t)
  const folder = copyOfMigrations(t)
  const future = `${String(LATEST + 1).padStart(4, '0')}_future`
  writeFileSync(join(folder, `${future}.sql`), '-- description: Later\nCREATE TABLE later ();')
  await migrator(url, { folder }).up()
  const older = migrator(url)
  const status = await older.status()
  t.match(status, { status: 'newer', current: LATEST + 1, latest: LATEST })
  t.match(status.migrations.at(-1), { name: future, state: 'missing', description: null, checksum: null })
  const words = `it is at migration ${LATEST + 1} (${future}), and Annals ${VERSION} knows migrations up to ${LATEST}`
  t.ok(refusal(status)?.includes(words), refusal(status) ?? '')
  const error = await errorOf(older.up())
  t.equal(error.kind, 'newer')
  t.ok(error.message.includes(words))
  t.equal((await older.verify()).isSound, false)
  t.equal(refusal(await migrator(url, { folder }).status()), undefined)
})

t.test('While another process migrates, the holder is shown and the wait is bounded', async (t) => {
  const url = await newDatabase(t)
  const other = await MigrationSession.open({ connectionString: url, schema: 'public', log() {} })
  t.teardown(() => other.close())
  await other.lock(1_000)
  const { pid } = (await other.query('SELECT pg_backend_pid() AS pid')).rows[0] as { pid: number }

  const lines: string[] = []
  const startedAt = performance.now()
  const error = await errorOf(migrator(url, { lockTimeoutMs: 600, log: (line) => lines.push(line) }).up())
  const waitedMs = performance.now() - startedAt
  t.ok(waitedMs > 550 && waitedMs < 10_000, `${Math.round(waitedMs)} ms`)
  t.match(error, { kind: 'locked', holder: { pid, application_name: /^annals migrate/, since: /^\d{4}-.*Z$/ } })
  t.ok(error.message.includes(`backend ${pid} (annals migrate`), error.message)
  t.ok(lines.some((line) => line.includes(`waiting for another process that migrates: backend ${pid}`)))

  const client = await connected(t, url)
  const http = migrationsForHttp(migrator(url), (text, values) => client.query(text, values))
  const problem = (await errorOf(http.up({ dryRun: false }))) as unknown as AppError
  t.match(problem, { code: 'migrations_locked', status: 409, members: { holder: { pid } } })

  t.strictSame(
    await migrator(url, { schema: 'another', lockTimeoutMs: 600 })
      .up({ to: 1 })
      .then((all) => all.length),
    1,
  )
  const waiting = migrator(url).up()
  await sleep(200)
  await other.close()
  t.equal((await waiting).length, LATEST, 'the lock goes with the connection of its holder')
})

t.test('A table that others use is waited for in short steps, so that nobody queues up behind for long', async (t) => {
  const url = await newDatabase(t)
  await migrator(url).up({ to: 2 })
  const reader = await connected(t, url)
  await reader.query('BEGIN; SELECT * FROM events')

  const lines: string[] = []
  const blocked = await errorOf(migrator(url, { lockTimeoutMs: 700, log: (line) => lines.push(line) }).up())
  t.match(blocked, {
    kind: 'failed',
    message: /its tables stayed locked for 700 ms; locked by backend \d+ \(a test, in a transaction for \d+ s\)/,
  })
  t.ok(lines.some((line) => /0003_positions waits for a lock and tries again; locked by backend \d+/.test(line)))
  t.match((await migrator(url).status()).migrations[2]?.failure?.error, /stayed locked/)

  const patient = migrator(url, { lockTimeoutMs: 60_000 }).up()
  const other = await connected(t, url)
  let longestMs = 0
  for (const endAt = performance.now() + 1_500; performance.now() < endAt; await sleep(20)) {
    const startedAt = performance.now()
    await other.query('SELECT count(*) FROM events')
    longestMs = Math.max(longestMs, performance.now() - startedAt)
  }
  await reader.query('COMMIT')
  t.equal((await patient).length, LATEST - 2)
  // Who queued up behind all of it would have waited for as long as the migration does.
  t.ok(longestMs < 20_000, `${Math.round(longestMs)} ms`)
})

t.test(
  'An index is built concurrently, and an invalid one that a failed attempt left is dropped and named',
  async (t) => {
    const url = await newDatabase(t)
    const folder = folderOf(t, {
      '0001_a.sql': 'CREATE TABLE a (n INT); INSERT INTO a VALUES (1), (1);',
      '0002_b.sql':
        '-- annals:no-transaction\n-- description: B\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS a_n ON a (n);',
      '0003_c.sql': 'CREATE TABLE c ();',
    })
    const schema = 'its_own'
    const lines: string[] = []
    const build = () => migrator(url, { folder, schema, log: (line) => lines.push(line) })
    t.match(await errorOf(build().up()), {
      kind: 'failed',
      message: /^0002_b failed: could not create unique index "a_n"; Key \(n\)=\(1\) is duplicated/,
    })
    const indexes = () => runSql(url, `SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('its_own.a_n')`)
    t.strictSame(await indexes(), [], 'no invalid index is left')
    t.ok(lines.some((line) => /dropping the invalid index a_n/.test(line)))

    // What a crash in the middle leaves.
    await runSql(url, 'CREATE UNIQUE INDEX CONCURRENTLY a_n ON its_own.a (n)').catch(() => {})
    t.strictSame(await indexes(), [{ indisvalid: false }])
    await runSql(url, 'DELETE FROM its_own.a')
    lines.length = 0
    t.equal((await build().up()).length, 2)
    t.ok(lines.some((line) => /0002_b: dropping the invalid index a_n that a failed attempt left/.test(line)))
    t.strictSame(await indexes(), [{ indisvalid: true }])
    const where = await runSql(
      url,
      `SELECT relnamespace::regnamespace::text AS schema FROM pg_class WHERE relname = 'c'`,
    )
    t.strictSame(where, [{ schema }], 'the migration after it is in the schema again')

    const two = folderOf(t, { '0001_a.sql': '-- annals:no-transaction\n-- description: A\nVACUUM; VACUUM;' })
    t.match(await errorOf(migrator(url, { folder: two, schema: 'two' }).up()), {
      message: /holds exactly one statement/,
    })
  },
)

t.test('A pooler that shares backends is refused in words, and one that does not may be used', async (t) => {
  const url = await newDatabase(t)
  for (const size of [3, 1]) {
    const pooled = await startPooler(t, url, { mode: 'transaction', size })
    const error = await errorOf(migrator(pooled).up())
    t.match(error, {
      kind: 'refused',
      message: /leads through a pooler.*set DATABASE_DIRECT_URL to the database itself/,
    })
  }
  t.equal((await migrator(url).status()).current, 0)
  const faithful = await startPooler(t, url, { mode: 'session', size: 4 })
  t.equal((await migrator(faithful).up()).length, LATEST)
})

t.test('A lock that is lost on the way stops the run', async (t) => {
  const url = await newDatabase(t)
  const session = await MigrationSession.open({ connectionString: url, schema: 'public', log() {} })
  t.teardown(() => session.close())
  await session.lock(1_000)
  await session.checkLock()
  await session.query('SELECT pg_advisory_unlock_all()')
  t.match(await errorOf(session.checkLock()), { kind: 'refused', message: /lock was lost on the way/ })
})

t.test('A server that is too old, in another encoding or a standby is refused in words', async (t) => {
  const facts = { major: 15, version: '15.0', encoding: 'UTF8', is_standby: false }
  t.equal(serverRefusal(facts), undefined)
  t.equal(
    serverRefusal({ ...facts, major: 14, version: '14.12' }),
    'PostgreSQL 14.12 is too old: Annals needs 15 or newer',
  )
  t.match(serverRefusal({ ...facts, is_standby: true }), /only reads: connect to the primary/)
  const ascii = await newDatabase(t, `ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0`)
  t.match(await errorOf(migrator(ascii).up()), {
    kind: 'refused',
    message: /the encoding SQL_ASCII, and event data are UTF-8/,
  })
})

t.test('A connection that is killed in the middle is told, and nothing is left behind', async (t) => {
  const url = await newDatabase(t)
  const folder = folderOf(t, { '0001_a.sql': 'CREATE TABLE a (); SELECT pg_sleep(30);' })
  const running = errorOf(migrator(url, { folder }).up())
  for (;;) {
    const killed = await runSql(
      server.url,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()`,
    )
    if (killed.length > 0) break
    await sleep(20)
  }
  t.match(await running, { kind: 'failed', message: /0001_a: the connection was lost/ })
  t.strictSame((await runSql(url, `SELECT to_regclass('a') AS a`))[0], { a: null })
  t.equal((await migrator(url, { folder }).status()).migrations[0]?.state, 'pending')
})

t.test('Stores in two schemas of one database do not know each other', async (t) => {
  const url = await newDatabase(t)
  const client = await connected(t, url)
  for (const schema of ['store_a', 'We"ird']) await migrator(url, { schema }).up()
  for (const schema of ['store_a', 'We"ird']) {
    await client.query(
      `INSERT INTO "${schema.replace('"', '""')}".events (stream_id, version, event_type, event_data) VALUES ('s', 1, 'T', '')`,
    )
    t.ok((await migrator(url, { schema }).verify()).isSound)
  }
  t.strictSame(await describe(client, 'store_a'), await describe(client, 'We"ird'))
  const { rows } = await client.query(`SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace`)
  t.strictSame(rows, [], 'nothing went elsewhere')
  t.strictSame((await client.query('SELECT position FROM store_a.annals_head')).rows, [{ position: '1' }])
})

t.test(
  'A role that is no superuser migrates the schema that it owns, and others are told what they lack',
  async (t) => {
    const url = await newDatabase(t)
    const role = `${server.name}_owner`
    const stranger = `${server.name}_stranger`
    t.teardown(() => runSql(server.url, `DROP ROLE IF EXISTS ${stranger}`))
    t.teardown(() => runSql(server.url, `DROP ROLE IF EXISTS ${role}`))
    await runSql(server.url, `CREATE ROLE ${role} LOGIN PASSWORD 'secret'`)
    await runSql(server.url, `CREATE ROLE ${stranger} LOGIN PASSWORD 'secret'`)
    await runSql(url, `CREATE SCHEMA ours AUTHORIZATION ${role}`)
    await runSql(url, 'REVOKE ALL ON SCHEMA public FROM PUBLIC')
    const as = (name: string) => {
      const changed = new URL(url)
      changed.username = name
      changed.password = 'secret'
      return changed.href
    }
    t.equal((await migrator(as(role), { schema: 'ours' }).up()).length, LATEST)
    t.ok((await migrator(as(role), { schema: 'ours' }).verify()).isSound)
    await migrator(as(role), { schema: 'ours' }).down({ to: 2 })
    t.match(await errorOf(migrator(as(stranger), { schema: 'theirs' }).up()), {
      message: /permission denied for database/,
    })
    await runSql(
      url,
      `GRANT CREATE, USAGE ON SCHEMA ours TO ${stranger}; GRANT ALL ON ALL TABLES IN SCHEMA ours TO ${stranger}`,
    )
    t.match(await errorOf(migrator(as(stranger), { schema: 'ours' }).up()), {
      kind: 'failed',
      message:
        /0003_positions failed and left nothing behind: must be owner of table .*connect as the role that owns the tables/,
    })
    await runSql(url, `DROP SCHEMA ours CASCADE`)
  },
)

t.test('Migrations are taken back one by one, but never the events without being told so', async (t) => {
  const url = await newDatabase(t)
  const client = await connected(t, url)
  // Only the first five, so that what the later ones have to lose does not matter.
  const folder = copyOfMigrations(t)
  for (const name of readdirSync(folder)) if (/^\d/.test(name) && name > '0006') rmSync(join(folder, name))
  const five = migrator(url, { folder })
  await five.up()
  const before = await describe(client)
  t.strictSame(
    (await five.down()).map(({ name }) => name),
    ['0005_append'],
  )
  t.match(await five.status(), { status: 'pending', current: 4 })
  await five.up()
  t.strictSame(await describe(client), before, 'down one and up again gives the same schema')

  await client.query(`INSERT INTO events (stream_id, version, event_type, event_data) VALUES ('s', 1, 'T', '\\x00ff')`)
  const refused = await errorOf(five.down({ to: 2 }))
  t.match(refused, { kind: 'refused', message: /taking back 0003_positions destroys the position.*--i-will-lose-data/ })
  t.match(await five.status(), { current: 3 }, 'what destroys nothing was taken back')
  await five.down({ to: 2, mayLoseData: true })
  const columns = await client.query(
    `SELECT attname FROM pg_attribute WHERE attrelid = 'events'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
  )
  t.strictSame(
    columns.rows.map(({ attname }) => attname),
    ['stream_id', 'version', 'event_type', 'event_data', 'metadata', 'created_at'],
  )
  t.match(await errorOf(five.down({ mayLoseData: true })), {
    kind: 'refused',
    message: /0002_snapshots has no way back/,
  })
  await five.up()
  t.strictSame(await describe(client), before)
  t.strictSame((await client.query('SELECT stream_id, position, event_data FROM events')).rows, [
    { stream_id: 's', position: '1', event_data: Buffer.from([0, 255]) },
  ])

  const others = folderOf(t, { '0001_a.sql': 'CREATE TABLE a ();', '0001_a.down.sql': 'DROP TABLE a; SELECT 1 / 0;' })
  const wrong = migrator(url, { folder: others, schema: 'x' })
  await wrong.up()
  t.match(await errorOf(wrong.down()), { kind: 'failed', message: /taking back 0001_a failed.*division by zero/ })
  t.equal((await wrong.status()).current, 1)
})

t.test('What was changed by hand is found and named', async (t) => {
  const url = await newDatabase(t)
  await migrator(url).up()
  const found = async () => {
    const { differences, faults, isSound } = await migrator(url).verify()
    t.notOk(isSound)
    return [...(differences ?? []).map(({ object, problem }) => `${object} ${problem}`), ...faults]
  }
  await runSql(url, 'DROP INDEX idx_events_type')
  t.strictSame(await found(), ['index idx_events_type missing'])
  await runSql(url, 'CREATE INDEX idx_events_type ON events (event_type)')
  await runSql(url, 'ALTER TABLE events DISABLE TRIGGER zz_annals_number_event')
  t.strictSame(await found(), ['trigger events.zz_annals_number_event different'])
  await runSql(url, 'ALTER TABLE events ENABLE TRIGGER zz_annals_number_event')
  await runSql(
    url,
    `CREATE OR REPLACE FUNCTION annals_event_id() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()'`,
  )
  t.strictSame(await found(), ['function annals_event_id() different'])
  await migrator(url).down({ to: 3 })
  await migrator(url).up()
  await runSql(url, 'ALTER TABLE snapshots ALTER version TYPE numeric, SET UNLOGGED')
  t.strictSame(await found(), ['column snapshots.version different', 'table snapshots different'])
  await runSql(url, 'ALTER TABLE snapshots ALTER version TYPE bigint, SET LOGGED')
  await runSql(url, `INSERT INTO events (stream_id, version, event_type, event_data) VALUES ('s', 1, 'T', '')`)
  t.ok((await migrator(url).verify()).isSound)
  await runSql(url, 'UPDATE annals_head SET position = 0')
  t.strictSame(await found(), ['annals_head is at position 0, and there is an event at position 1'])
  await runSql(url, 'DELETE FROM annals_head')
  t.strictSame(await found(), ['annals_head has no row: the last position is not known'])
  await runSql(url, 'DROP TABLE annals_head')
  t.ok((await found()).includes('table annals_head missing'))
})

t.test('A schema that came without its ledger is taken as it is, if it is what the migrations make', async (t) => {
  const url = await newDatabase(t)
  t.match(await errorOf(migrator(url).baseline(LATEST)), { kind: 'refused', message: /table events is missing/ })
  t.match(await errorOf(migrator(url).baseline(LATEST + 1)), {
    kind: 'refused',
    message: /there is no migration \d+; Annals/,
  })
  await migrator(url).up()
  t.match(await errorOf(migrator(url).baseline(LATEST)), {
    message: /a database without applied migrations; this one is at \d+/,
  })
  await runSql(url, 'DROP TABLE annals_migrations')
  await runSql(url, 'DROP INDEX idx_events_created')
  t.match(await errorOf(migrator(url).baseline(LATEST)), { message: /index idx_events_created is missing/ })
  await runSql(url, 'CREATE INDEX idx_events_created ON events (created_at)')
  await migrator(url).baseline(LATEST)
  const status = await migrator(url).status()
  t.equal(status.status, 'up_to_date')
  t.ok(status.migrations.every(({ note }) => note === 'baseline by hand, not run'))

  const other = await newDatabase(t)
  await migrator(other).up()
  await runSql(other, 'DROP TABLE annals_migrations')
  t.equal((await migrator(other).up()).length, LATEST, 'without a baseline every migration can run a second time')
  t.ok((await migrator(other).verify()).isSound)
})

t.test('For routes every error is one of the catalogue and says nothing about the inside', async (t) => {
  const url = await newDatabase(t)
  const client = await connected(t, url)
  const query = (text: string, values?: unknown[]) => client.query(text, values)
  const codeOf = async (work: Promise<unknown>) => {
    const error = (await errorOf(work)) as unknown as AppError
    t.notMatch(error.message, /division|postgres|127\.0\.0\.1|SELECT/)
    return error.code
  }
  const failing = migrator(url, { folder: folderOf(t, { '0001_a.sql': 'SELECT 1 / 0;' }) })
  t.equal(await codeOf(migrationsForHttp(failing, query).up({ dryRun: false })), 'internal')
  const nowhere = migrator('postgres://nobody@127.0.0.1:1/x')
  t.equal(await codeOf(migrationsForHttp(nowhere, query).up({ dryRun: false })), 'database_unavailable')
  const broken = migrationsForHttp(nowhere, () =>
    Promise.reject(Object.assign(new Error('no'), { code: 'ECONNREFUSED' })),
  )
  t.equal(await codeOf(broken.status()), 'database_unavailable')

  const folder = copyOfMigrations(t)
  const url2 = await newDatabase(t)
  await migrator(url2, { folder }).up()
  writeFileSync(join(folder, '0001_events.sql'), `${readFileSync(join(folder, '0001_events.sql'), 'utf8')}\n`)
  t.equal(await codeOf(migrationsForHttp(migrator(url2, { folder }), query).up({ dryRun: false })), 'migration_drift')
})

t.test('The committed migrations have a description each, and the ones that need it a warning', async (t) => {
  t.equal(FILES.length, readdirSync(MIGRATIONS_FOLDER).filter((name) => /^\d{4}_\w+\.sql$/.test(name)).length)
  t.match(FILES[2], { name: '0003_positions', breaking: /collation "C"/ })
  t.ok(
    FILES.slice(2).every(({ down }) => down !== null),
    'all but the tables of the events can be taken back',
  )
  const client = await connected(t, await newDatabase(t))
  const { migrations } = await readStatus((text, values) => client.query(text, values), 'public', FILES)
  t.ok(migrations.every(({ description }) => (description as string).length > 10))
})
