import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { migrateCommand } from '../../src/cli/migrate.ts'
import { startEmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.ts'
import { MIGRATIONS_FOLDER } from '../../src/db/migrations/migration-files.ts'
import { MigrationSession } from '../../src/db/migrations/migration-session.ts'
import { createTestDatabase, runSql, type Teardown, testFolder, withDatabase } from '../support/postgres.ts'
import { childCommand } from '../support/program.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const FILES = readdirSync(MIGRATIONS_FOLDER).filter((name) => /^\d{4}_\w+\.sql$/.test(name))
const server = await createTestDatabase(t)
let databases = 0

async function newDatabase(test: Teardown): Promise<string> {
  const name = `${server.name}_${++databases}`
  await runSql(server.url, `CREATE DATABASE ${name}`)
  test.teardown(() => runSql(server.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  return withDatabase(server.url, name)
}

interface Run {
  code: number
  out: string
  err: string
}

/** Runs a program in `cwd`, with nothing of the caller's settings. */
function run(program: string, args: string[], cwd: string, env: Record<string, string> = {}): Promise<Run> {
  const { PATH = '', HOME = '' } = process.env
  return new Promise((resolve) => {
    execFile(program, args, { cwd, env: { PATH, HOME, ...env }, maxBuffer: 2 ** 24 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err })
    })
  })
}

const empty = testFolder(t)
// A developer's own .env must not decide whether a test passes.
const home = process.cwd()
process.chdir(empty)
t.teardown(() => process.chdir(home))

/** The command as a process of its own. */
const migrateAlone = (args: string[], env: Record<string, string> = {}) =>
  run(...childCommand(['migrate', ...args]), empty, env)

/** The same in this process, which takes a tenth of the time; one call at a time. */
async function migrate(args: string[], env: Record<string, string> = {}): Promise<Run> {
  const result: Run = { code: 0, out: '', err: '' }
  const command = migrateCommand({
    out: (text) => {
      result.out += text
    },
    err: (text) => {
      result.err += text
    },
  })
  Object.assign(process.env, env)
  try {
    await command.parseAsync(args, { from: 'user' })
  } catch (error) {
    const { message, exitCode = 1 } = error as Error & { exitCode?: number }
    result.code = exitCode
    result.err += `annals: ${message}\n`
  } finally {
    for (const name of Object.keys(env)) delete process.env[name]
  }
  return result
}

t.test('What is pending is shown, tried, applied, verified and taken back, and the exit code tells', async (t) => {
  const url = await newDatabase(t)
  const on = ['--database-url', url]
  const pending = await migrate(['status', ...on])
  t.equal(pending.code, 0)
  t.match(
    pending.out,
    new RegExp(`migrations are pending: the database is at 0, the migrations go to ${FILES.length}\\n`),
  )
  t.match(pending.out, /0003_positions +pending .*\n {2}breaking: stream_id gets the collation "C"/)

  const tried = await migrate(['up', '--dry-run', ...on])
  t.match(tried, { code: 0, out: /-- 0001_events \(tried in \d+ ms, rolled back\)\n-- description:.*\nCREATE TABLE/ })
  t.match(tried.out, new RegExp(`${FILES.length} pending; nothing was changed\n$`))

  const first = await migrate(['up', '--to', '2', ...on])
  t.match(first, {
    code: 0,
    out: /^applied 0001_events in \d+ ms\napplied 0002_snapshots in \d+ ms\n2 migrations applied\n$/,
  })
  const rest = await migrate(['up', '--json', ...on])
  t.match(rest, { code: 0, err: /applied 0003_positions in/ })
  t.equal((JSON.parse(rest.out) as { applied: unknown[] }).applied.length, FILES.length - 2)

  const again = await migrate(['up', ...on])
  const status = await migrate(['status', '--json'], { DATABASE_URL: url })
  const nowhere = 'postgres://nobody@127.0.0.1:1/x'
  const verified = await migrate(['verify'], { DATABASE_URL: nowhere, DATABASE_DIRECT_URL: url })
  const unknown = await migrate(['up', '--to', '99', ...on])
  t.match(again, { code: 0, out: 'nothing to do\n' })
  t.match(await migrate(['down', '--to', '99', ...on]), { code: 4, err: /annals: there is no migration 99/ })
  t.match(status.code, 0)
  t.match(JSON.parse(status.out), { status: 'up_to_date', migrations: [{ version: 1, name: '0001_events' }] })
  t.match(verified, { code: 0, out: /^sound: \d+ migrations/ })
  t.match(unknown, { code: 4, err: /annals: there is no migration 99/ })

  await runSql(url, 'DROP INDEX idx_events_type')
  t.match(await migrate(['verify', ...on]), {
    code: 2,
    out: /missing: index idx_events_type/,
    err: /annals: the database is not/,
  })
  t.match(await migrate(['down', ...on]), { code: 0, out: /1 migration taken back/ })
  t.notMatch((await migrate(['status', ...on])).out, /note:/, 'nobody decided anything about it')
})

t.test('Drift is 2, a lock that is busy is 3, and everything else that fails is 4', async (t) => {
  const url = await newDatabase(t)
  const folder = testFolder(t)
  writeFileSync(join(folder, '0001_a.sql'), '-- description: A\nSELECT 1 / 0;')
  const on = ['--database-url', url, '--folder', folder, '--schema', 'other']
  t.match(await migrate(['up', ...on]), {
    code: 4,
    out: '',
    err: /annals: 0001_a failed and left nothing behind: division by zero/,
  })

  writeFileSync(join(folder, '0001_a.sql'), '-- description: A\nSELECT 1;')
  t.match(await migrate(['status', ...on]), { code: 0, out: /failed at \d{4}.*: division by zero/ })
  t.match(await migrate(['up', ...on]), { code: 0 })
  writeFileSync(join(folder, '0001_a.sql'), '-- description: A\nSELECT 2;')
  const holder = await MigrationSession.open({ connectionString: url, schema: 'held', log() {} })
  t.teardown(() => holder.close())
  await holder.lock(1_000)
  const [done, drift, locked, nowhere] = await Promise.all([
    migrateAlone(['up', '--database-url', url]),
    migrateAlone(['status', ...on]),
    migrateAlone(['up', '--database-url', url, '--schema', 'held'], { MIGRATION_LOCK_TIMEOUT_MS: '100' }),
    migrateAlone(['status', '--database-url', 'postgres://nobody@127.0.0.1:1/x']),
  ])
  t.match(done, { code: 0, out: /migrations applied/ })
  t.match(drift, {
    code: 2,
    out: /0001_a +changed/,
    err: /0001_a was changed after it was applied \(checksum then [0-9a-f]{64}, now [0-9a-f]{64}\)/,
  })
  t.match(await migrate(['up', ...on]), { code: 2 })
  t.match(locked, {
    code: 3,
    err: /annals: another process is migrating: backend \d+ \(annals migrate \(process \d+\)/,
  })
  t.match(nowhere, { code: 4, err: /annals: the database at 127.0.0.1:1 can't be reached \(ECONNREFUSED\)/ })
  t.match(await migrate(['status'], { PORT: 'many' }), { code: 4, err: /PORT/ })
  t.match(await migrate(['repair', '--accept', '0001_a', '--reason', 'a comment', ...on]), {
    code: 0,
    out: 'accepted: 0001_a was changed\n',
  })
  t.match(await migrate(['status', ...on]), { code: 0, out: /note: .*a comment \(accepted/ })

  writeFileSync(join(folder, '0001_b.sql'), '-- description: B')
  t.match(await migrate(['up', ...on]), { code: 4, err: /0001_a and 0001_b have the same number/ })
  const made = testFolder(t)
  t.match(await migrate(['new', 'add_user_context', '--folder', made]), {
    code: 0,
    out: `${join(made, '0001_add_user_context.sql')}\n`,
  })
  t.match(await migrate(['new', 'No', '--folder', made]), { code: 4 })
})

t.test('A schema that came without its ledger is taken as applied', async (t) => {
  const url = await newDatabase(t)
  const on = ['--database-url', url]
  t.match(await migrate(['baseline', String(FILES.length), ...on]), { code: 4, err: /table events is missing/ })
  await migrate(['up', ...on])
  await runSql(url, 'DROP TABLE annals_migrations')
  t.match(await migrate(['baseline', String(FILES.length), ...on]), { code: 0, out: /count as applied/ })
  t.match(await migrate(['verify', ...on]), { code: 0 })
})

t.test('Without a database URL it is the embedded PostgreSQL, running or not', async (t) => {
  const DATA_DIR = testFolder(t)
  const alone = await migrate(['up'], { DATA_DIR })
  t.match(alone, { code: 0, out: /migrations applied/ })
  const running = await startEmbeddedPostgres({
    dataDir: DATA_DIR,
    log: { info() {}, warn() {}, error() {} },
  })
  t.teardown(() => running.stop())
  t.match(await migrate(['status'], { DATA_DIR }), { code: 0, out: /^up to date/ })
  t.equal((await runSql(running.url, 'SELECT 1 AS alive')).length, 1, 'the server it found goes on running')
})

t.test('The packed package brings its migrations and needs no sources', async (t) => {
  const url = await newDatabase(t)
  const packed = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], ROOT)
  const [{ files }] = JSON.parse(packed.out) as [{ files: { path: string }[] }]
  const paths = files.map(({ path }) => path)
  for (const name of [...FILES, 'schema.json']) t.ok(paths.includes(`migrations/${name}`), name)
  t.notOk(paths.some((path) => path.startsWith('src/')))

  const folder = testFolder(t)
  const installed = join(folder, 'node_modules/annals')
  for (const path of paths.filter((each) => !each.startsWith('dist/'))) {
    mkdirSync(dirname(join(installed, path)), { recursive: true })
    cpSync(join(ROOT, path), join(installed, path))
  }
  symlinkSync(join(ROOT, 'node_modules'), join(installed, 'node_modules'))
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
  const built = ['-p', join(ROOT, 'tsconfig.build.json'), '--incremental', 'false', '--outDir', join(installed, 'dist')]
  await run(process.execPath, [compiler, ...built, '--declaration', 'false', '--sourceMap', 'false'], ROOT)
  const library = `
    const { runMigrations } = await import('annals')
    console.log((await runMigrations(${JSON.stringify(await newDatabase(t))})).length)`
  const byLibrary = await run(process.execPath, ['--input-type=module', '-e', library], folder)
  t.match(byLibrary, { code: 0, out: `${FILES.length}\n` }, 'the library finds them too')
  await run(process.execPath, [join(ROOT, 'scripts/bundle.mjs'), join(installed, 'dist')], ROOT)
  const licences = readFileSync(join(installed, 'dist/licences.txt'), 'utf8')
  for (const name of ['fastify', 'kysely', 'pg'])
    t.match(licences, new RegExp(`^${name} [\\d.]+: MIT\n\n.*Licen[cs]e`, 'im'))
  t.match(JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')), { bin: { annals: 'dist/main.js' } })

  const up = await run(process.execPath, [join(installed, 'dist/main.js'), 'migrate', 'up', '--json'], empty, {
    DATABASE_URL: url,
  })
  t.equal(up.code, 0, up.err)
  t.equal((JSON.parse(up.out) as { applied: unknown[] }).applied.length, FILES.length)
})
