// Dumps by PostgreSQL's own programs, made by Debian's and put back into Debian's server.

import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { readCatalogue } from '../../src/backup/catalogue.ts'
import { createBackup } from '../../src/backup/create-backup.ts'
import type { Desk } from '../../src/backup/desk.ts'
import { openDestination } from '../../src/backup/destinations/destinations.ts'
import { resolveId } from '../../src/backup/destinations/latest.ts'
import type { CreateOptions, JobContext } from '../../src/backup/driver.ts'
import { type Manifest, manifestText } from '../../src/backup/manifest.ts'
import { type RestoreMode, restoreBackup } from '../../src/backup/restore/restore-backup.ts'
import { verifyBackup } from '../../src/backup/verify-backup.ts'
import { startEmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.ts'
import { Migrator, runMigrations } from '../../src/db/migrations/migrator.ts'
import { failure } from '../support/backups.ts'
import { DEBIAN_BIN, isDebianPostgresAbsent, startDebianPostgres } from '../support/debian-postgres.ts'
import { isPgBouncerAbsent, startPgBouncer } from '../support/pgbouncer.ts'
import { quiet, runSql, type Teardown, testFolder, withDatabase } from '../support/postgres.ts'

if (isDebianPostgresAbsent) {
  t.plan(0, isDebianPostgresAbsent)
  process.exit(0)
}

const server = await startDebianPostgres(t)
let databases = 0

async function newDatabase(): Promise<string> {
  const name = `store_${++databases}`
  await runSql(server.adminUrl, `CREATE DATABASE ${name} TEMPLATE template0`)
  return withDatabase(server.adminUrl, name)
}

const append = (url: string, events: number, schema = 'public') =>
  runSql(
    url,
    `INSERT INTO ${schema}.events (stream_id, version, event_type, event_data, metadata, is_json)
     SELECT 'order-' || i % 7, (SELECT count(*) FROM ${schema}.events WHERE stream_id = 'order-' || i % 7) + i / 7 + 1, 'Placed',
       convert_to(format('{"n":%s,"text":"tab\\t \\\\. line"}', i), 'UTF8'), jsonb_build_object('i', i), true
     FROM generate_series(0, ${events - 1}) AS i`,
  )

/** A migrated store with events, snapshots, and a table and a view of somebody else. */
async function newDesk(t: Teardown, schema = 'public'): Promise<{ desk: Desk; url: string; folder: string }> {
  const url = await newDatabase()
  await runMigrations(url, { schema })
  await append(url, 200, schema)
  await runSql(
    url,
    `INSERT INTO ${schema}.snapshots (stream_id, version, state_data) VALUES ('order-1', 3, '\\x00ff'), ('order-2', 1, '{}');
     CREATE SCHEMA billing; CREATE TABLE billing.invoices (id int PRIMARY KEY); INSERT INTO billing.invoices SELECT generate_series(1, 5);
     CREATE VIEW billing.orders AS SELECT DISTINCT stream_id FROM ${schema}.events`,
  )
  const folder = join(testFolder(t), 'backups')
  return { desk: { destination: openDestination(folder), store: { url, schema } }, url, folder }
}

const context = (more: Partial<JobContext> = {}): JobContext => ({
  signal: new AbortController().signal,
  progress() {},
  log() {},
  pgBin: DEBIAN_BIN,
  ...more,
})
const make = (desk: Desk, type: string, options: CreateOptions = {}) => createBackup(desk, { type, options }, context())
const restore = (desk: Desk, id: string, url: string, schema = 'public') =>
  restoreBackup(
    { id, destination: desk.destination, target: { url, schema }, how: { mode: 'into', isForced: false } },
    context(),
  )
const rowsOf = (url: string, schema: string, table: string) =>
  runSql(url, `SELECT to_jsonb(t) AS row FROM ${schema}.${table} AS t ORDER BY to_jsonb(t)::text`)

t.test('Each type comes back whole, in each format, and passes each level', async (t) => {
  for (const schema of ['public', 'orders']) {
    const { desk, url, folder } = await newDesk(t, schema)
    const cases: [
      type: string,
      options: CreateOptions,
      suffix: string,
      has: { snapshots: boolean; billing: boolean },
    ][] = [
      ['full', {}, 'dump', { snapshots: true, billing: true }],
      ['full', { format: 'plain', gzip: true }, 'sql.gz', { snapshots: true, billing: true }],
      ['events', {}, 'dump', { snapshots: false, billing: false }],
      ['events', { format: 'plain' }, 'sql', { snapshots: false, billing: false }],
      ['events-snapshots', { format: 'plain', gzip: true }, 'sql.gz', { snapshots: true, billing: false }],
      ['data', {}, 'dump', { snapshots: true, billing: false }],
    ]
    // The schema's name makes a difference to what takes one schema, and none to the formats.
    const chosen = schema === 'public' ? cases : cases.filter(([, { format }]) => format === undefined).slice(1)
    for (const [type, options, suffix, has] of chosen) {
      const name = `${type} ${suffix} of ${schema}`
      const manifest = await make(desk, type, options)
      const { id } = manifest
      t.match(id, /^backup_\d{8}_\d{6}$/)
      t.same(readdirSync(join(folder, id)).toSorted(), [`${id}.${suffix}`, 'manifest.json'], name)
      t.match(manifest.contents, { head: 200, events: 200, snapshots: has.snapshots ? 2 : 0 }, name)
      const head = readFileSync(join(folder, id, `${id}.${suffix}`)).subarray(0, 5)
      if (suffix === 'dump') t.equal(head.toString(), 'PGDMP', name)
      if (suffix === 'sql.gz') t.equal(head.readUInt16BE(0), 0x1f8b, name)

      const target = await newDatabase()
      await restore(desk, id, target, schema)
      t.same(await rowsOf(target, schema, 'events'), await rowsOf(url, schema, 'events'), name)
      t.same(
        await rowsOf(target, schema, 'snapshots'),
        has.snapshots ? await rowsOf(url, schema, 'snapshots') : [],
        name,
      )
      const invoices = await runSql(target, `SELECT to_regclass('billing.invoices') IS NOT NULL AS there`)
      t.same(invoices, [{ there: has.billing }], name)
      t.match(
        await new Migrator({ connectionString: target, schema }).verify(),
        { isSound: true, differences: [] },
        name,
      )
      const epoch = (of: string) => runSql(of, `SELECT epoch FROM ${schema}.annals_head`)
      t.notSame(await epoch(target), await epoch(url), `${name}: a new epoch`)
      await append(target, 7, schema)
      t.equal((await rowsOf(target, schema, 'events')).length, 207, `${name}: it goes on`)
    }
    const id = (await readCatalogue(desk)).entries[0]?.id ?? ''
    for (const level of [0, 1, 2, 3] as const) {
      t.match(await verifyBackup(desk, { id, level }, context()), { level }, `level ${level}`)
    }
    const scratch = `SELECT FROM pg_database WHERE datname LIKE 'annals_scratch%'`
    t.same(await runSql(server.adminUrl, scratch), [], 'nothing is left of the trial')
  }
})

t.test('Definitions, tables and roles come back too', async (t) => {
  const { desk, url, folder } = await newDesk(t)
  const schema = await make(desk, 'schema')
  t.equal(schema.contents, null)
  const empty = await newDatabase()
  await restore(desk, schema.id, empty)
  t.same(await rowsOf(empty, 'public', 'events'), [])
  const triggers = `SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1`
  t.same(await runSql(empty, triggers), await runSql(url, triggers))

  const tables = await make(desk, 'tables', { tables: ['events', 'snapshots'] })
  const some = await newDatabase()
  await restore(desk, tables.id, some)
  t.same(await rowsOf(some, 'public', 'events'), await rowsOf(url, 'public', 'events'))
  t.same(
    await runSql(
      some,
      `SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1`,
    ),
    [{ name: 'events' }, { name: 'snapshots' }],
  )
  const keys = `SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid IN ('events'::regclass, 'snapshots'::regclass) AND contype = 'p' ORDER BY 1`
  t.same(await runSql(some, keys), await runSql(url, keys), 'the primary keys are there')

  await runSql(
    url,
    `CREATE ROLE "Night shift" LOGIN PASSWORD 'secret-7' CONNECTION LIMIT 3; GRANT pg_monitor TO "Night shift"`,
  )
  const globals = await make(desk, 'globals', { gzip: true })
  t.match(
    gunzipSync(readFileSync(join(folder, globals.id, `${globals.id}.sql.gz`))).toString(),
    /CREATE ROLE "Night shift";/,
  )
  t.match(await verifyBackup(desk, { id: globals.id, level: 1 }, context()), { level: 1 })
  const other = await startDebianPostgres(t)
  await restore(desk, globals.id, withDatabase(other.adminUrl, 'annals'))
  t.match(
    await runSql(
      other.adminUrl,
      `SELECT r.rolconnlimit, pg_has_role(r.oid, 'pg_monitor', 'MEMBER') AS is_monitor, a.rolpassword
        FROM pg_authid AS a JOIN pg_roles AS r USING (oid) WHERE r.rolname = 'Night shift'`,
    ),
    [{ rolconnlimit: 3, is_monitor: true, rolpassword: /^SCRAM-SHA-256/ }],
  )
})

t.test(
  'A dump goes into a store in use by way of a scratch database, whole, in part, or one stream of it',
  async (t) => {
    // In a schema of another name than the store that it goes into.
    const { desk, url: source } = await newDesk(t, 'shop')
    await runSql(
      source,
      `INSERT INTO shop.annals_consumers (name, filter, start, partitions, lease_seconds, max_attempts) VALUES ('mail', '{}', '0', 1, 30, 5)`,
    )
    const [full, data, events, both, schema] = [
      await make(desk, 'full'),
      await make(desk, 'data', { format: 'plain', gzip: true }),
      await make(desk, 'events'),
      await make(desk, 'events-snapshots'),
      await make(desk, 'schema'),
    ]
    t.equal(await resolveId(desk.destination, 'latest'), both.id, 'definitions alone are no store')
    const url = await newDatabase()
    await runMigrations(url)
    await append(url, 30)
    await runSql(url, `INSERT INTO snapshots (stream_id, version, state_data) VALUES ('order-5', 2, 'x')`)
    const put = (id: string, how: RestoreMode, target = url) =>
      restoreBackup({ id, destination: desk.destination, target: { url: target, schema: 'public' }, how }, context())
    const held = (of: string, name: string) =>
      Promise.all(['events', 'snapshots', 'annals_consumers'].map((table) => rowsOf(of, name, table)))
    const before = await held(url, 'public')

    const stream = await put(full.id, { mode: 'stream', stream: 'order-1' })
    t.match(stream.outcome, { events: 29, same: 0, newer: 0 })
    t.same(await held(url, 'public'), before, 'one stream comes beside what is in use')
    for (const [id, how, message] of [
      [events.id, { mode: 'replace' }, /has no snapshots and no consumers: .* --mode tables --tables events$/],
      [
        both.id,
        { mode: 'tables', tables: ['consumers'] },
        /has no consumers: .* --mode tables --tables events,snapshots$/,
      ],
      [schema.id, { mode: 'replace' }, /of type schema, which can't be put into a store in use: .* by --mode into$/],
      [schema.id, { mode: 'stream', stream: 'order-1' }, /can't be put into a store in use/],
    ] as [string, RestoreMode, RegExp][]) {
      t.match(await failure(put(id, how)), { kind: 'refused', message })
    }
    await runSql(server.adminUrl, `CREATE ROLE modest LOGIN PASSWORD 'x'; GRANT pg_read_all_data TO modest`)
    const modest = new URL(url)
    modest.username = 'modest'
    modest.password = 'x'
    await runSql(url, 'GRANT ALL ON ALL TABLES IN SCHEMA public TO modest')
    t.match(await failure(put(full.id, { mode: 'replace' }, modest.href)), {
      ...{ kind: 'refused', message: /restored into a scratch database first: permission denied to create database/ },
    })
    t.same(await held(url, 'public'), before)

    const [, snapshots, consumers] = before
    await put(events.id, { mode: 'events' })
    const [all] = await held(source, 'shop')
    t.same(await held(url, 'public'), [all, snapshots, consumers], 'events alone')
    for (const { id } of [full, data]) {
      await runSql(url, `DELETE FROM annals_consumers; UPDATE snapshots SET state_data = 'changed'`)
      const { outcome } = await put(id, { mode: 'replace' })
      t.match(outcome, { kept: /^annals_before_/, snapshots_dropped: 0 })
      t.same(await held(url, 'public'), await held(source, 'shop'), id)
    }
    await put(both.id, { mode: 'tables', tables: ['events', 'snapshots'] })
    t.same(await held(url, 'public'), await held(source, 'shop'))
    t.equal((await new Migrator({ connectionString: url, schema: 'public' }).verify()).differences?.length, 0)
    t.same(await runSql(server.adminUrl, `SELECT datname FROM pg_database WHERE datname LIKE 'annals_scratch%'`), [])
  },
)

t.test('What is damaged is found, and named', async (t) => {
  const { desk, folder } = await newDesk(t)
  const { id } = await make(desk, 'events', { format: 'plain', gzip: true })
  const file = join(folder, id, `${id}.sql.gz`)
  const text = gunzipSync(readFileSync(file)).toString()
  const manifest = JSON.parse(readFileSync(join(folder, id, 'manifest.json'), 'utf8')) as Manifest
  const target = await newDatabase()
  /** As if it had been written so: the hash says nothing, what is in it has to. */
  const pretend = async (bytes: Buffer) => {
    const { createHash } = await import('node:crypto')
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    writeFileSync(file, bytes)
    const files = [{ name: `${id}.sql.gz`, bytes: bytes.length, sha256 }]
    writeFileSync(join(folder, id, 'manifest.json'), manifestText({ ...manifest, files }))
  }
  const isUntouched = async (what: string) =>
    t.same(await runSql(target, `SELECT FROM pg_class WHERE relname = 'events'`), [], what)
  const bytes = readFileSync(file)
  const flipped = Buffer.from(bytes)
  flipped[bytes.length >> 1] = (flipped[bytes.length >> 1] as number) ^ 1
  writeFileSync(file, flipped)
  t.match((await failure(verifyBackup(desk, { id, level: 0 }, context()))).message, /\.sql\.gz of .* has changed since/)
  await pretend(flipped)
  t.match(await verifyBackup(desk, { id, level: 0 }, context()), { level: 0 })
  t.match(await failure(verifyBackup(desk, { id, level: 1 }, context())), { kind: 'damaged' }, 'a flipped byte')

  await pretend(gzipSync(text.slice(0, text.length >> 1)))
  t.match((await failure(restore(desk, id, target))).message, /breaks off before its end/)
  await isUntouched('a truncated file')

  const lines = text.split('\n')
  const row = lines.findIndex((line) => line.startsWith('order-3\t'))
  await pretend(gzipSync(lines.toSpliced(row, 1).join('\n')))
  t.match(await failure(restore(desk, id, target)), {
    message: /does not hold the rows that its manifest describes/,
    evidence: ['public.events: 199 rows in the file, 200 in the manifest'],
  })
  await isUntouched('a row less')

  await pretend(gzipSync(text.replace('ADD CONSTRAINT', 'ADD CONSTRAINTS')))
  const bad = await failure(restore(desk, id, target))
  t.match(bad, { kind: 'failed', message: /^psql ended with exit code 3$/ })
  t.match(bad.evidence.join('\n'), /ERROR: +syntax error at or near/)
  await isUntouched('one bad line')

  await pretend(gzipSync(text.replace(/^CREATE UNIQUE INDEX idx_events_event_id.*$/m, '')))
  t.match((await failure(restore(desk, id, target))).evidence, ['index idx_events_event_id is missing'])
  await isUntouched('an index less')

  await pretend(gzipSync(lines.with(row, (lines[row] as string).replace('Placed', 'Pleased')).join('\n')))
  t.match((await failure(restore(desk, id, target))).evidence.join('\n'), /events_digest: \w+ in the store/)
  await isUntouched('a row that says something else')

  await pretend(bytes)
  await restore(desk, id, target)
  t.match((await failure(restore(desk, id, target))).message, /not empty/)
})

t.test('A dump shows one moment while events are being appended', async (t) => {
  const { desk, url } = await newDesk(t)
  let isOver = false
  const writers = Promise.all(
    [0, 1].map(async (writer) => {
      for (let i = 1; !isOver; i++) {
        await runSql(
          url,
          `INSERT INTO events (stream_id, version, event_type, event_data) VALUES ('w-${writer}', ${i}, 'T', '\\x00')`,
        )
      }
    }),
  )
  const manifest = await make(desk, 'full')
  isOver = true
  await writers
  t.ok((manifest.contents?.events ?? 0) >= 200)
  t.equal(manifest.contents?.events, manifest.contents?.head)
  t.match(await verifyBackup(desk, { id: manifest.id, level: 3 }, context()), { compared: manifest.contents?.events })
})

t.test('What can not work is refused in words before it begins', async (t) => {
  const { desk } = await newDesk(t)
  t.match(
    (await failure(make(desk, 'tables', { tables: ['events', '*'] }))).message,
    /no table "\*" in the schema public/,
  )
  const parked = ['annals_consumer_parked']
  t.match(
    (await failure(make(desk, 'tables', { tables: parked }))).message,
    /refers to annals_consumers, without which/,
  )
  const nowhere = createBackup(desk, { type: 'full', options: {} }, context({ pgBin: testFolder(t) }))
  t.match(
    (await failure(nowhere)).message,
    /^pg_dump is not in PG_BIN .*: install PostgreSQL 15's programs .*postgresql-client-15/,
  )

  const newer = await startEmbeddedPostgres({ dataDir: testFolder(t), log: quiet, settings: { fsync: 'off' } })
  t.teardown(() => newer.stop())
  await runMigrations(newer.url)
  const folder = join(testFolder(t), 'backups')
  const newerDesk = { destination: openDestination(folder), store: { url: newer.url, schema: 'public' } }
  for (const type of ['full', 'globals']) {
    t.match(
      (await failure(make(newerDesk, type))).message,
      /^the server is of PostgreSQL 18, and pg_dump(all)? here is 15\.\d+, which can't read it: install .*postgresql-client-18.*type archive/,
    )
  }
  t.same(readdirSync(folder), [], 'nothing is left')
})

t.test('A pooler is refused', { skip: isPgBouncerAbsent }, async (t) => {
  const { desk, url } = await newDesk(t)
  const pooled = await startPgBouncer(t, url, { mode: 'transaction', size: 2 })
  const through = { ...desk, store: { url: pooled.url, schema: 'public' } }
  t.match(await failure(make(through, 'full')), { kind: 'refused', message: /leads through a pooler/ })
})

t.test('A program that fails leaves nothing but a record of what it said', async (t) => {
  const { desk, url, folder } = await newDesk(t)
  await runSql(
    url,
    `CREATE ROLE clerk LOGIN PASSWORD 'secret-8'; GRANT USAGE ON SCHEMA public, billing TO clerk;
    GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk; GRANT SELECT ON billing.orders TO clerk`,
  )
  const clerk = new URL(url)
  clerk.username = 'clerk'
  clerk.password = 'secret-8'
  const theirs = { ...desk, store: { url: clerk.href, schema: 'public' } }
  const error = await failure(make(theirs, 'full'))
  t.match(error.message + error.evidence.join('\n'), /permission denied for table invoices/)
  t.same(readdirSync(folder), [])
  t.match((await readCatalogue(theirs)).entries, [{ type: 'full', state: 'failed' }])
  t.match((await make(theirs, 'events')).contents, { events: 200 }, 'what it may read it can back up')

  const bin = testFolder(t)
  const script = (name: string, text: string) => {
    writeFileSync(
      join(bin, name),
      `#!/bin/sh\n[ "$1" = --version ] && echo "${name} (PostgreSQL) 15.1" && exit\n${text}\n`,
    )
    chmodSync(join(bin, name), 0o755)
  }
  const log = join(testFolder(t), 'log')
  script(
    'pg_dump',
    `tr '\\0' ' ' < /proc/$$/cmdline > ${log}; env >> ${log}; for a in "$@"; do case $a in --file=*) echo partial > "\${a#--file=}"; esac; done
    echo "pg_dump: error: the disk is on fire" >&2; exit 1`,
  )
  const failed = await failure(createBackup(theirs, { type: 'events', options: {} }, context({ pgBin: bin })))
  t.match(failed, { message: /^pg_dump ended with exit code 1$/, evidence: ['pg_dump: error: the disk is on fire'] })
  t.same(
    readdirSync(folder).filter((name) => name.includes('partial')),
    [],
    'no partial file',
  )
  const [{ error: recorded }] = (await runSql<{ error: string }>(
    url,
    `SELECT error FROM annals_jobs ORDER BY started_at DESC LIMIT 1`,
  )) as [{ error: string }]
  t.match(recorded, /the disk is on fire/)
  const seen = readFileSync(log, 'utf8')
  const [commandLine = ''] = seen.split('\n')
  t.match(commandLine, /--dbname=postgres:\/\/clerk@/)
  t.notMatch(commandLine, /secret-8/, 'no password where others can see it')
  t.match(seen, /^PGPASSWORD=secret-8$/m)

  script('pg_dump', 'exec sleep 60')
  const stopping = new AbortController()
  const stopped = failure(
    createBackup(theirs, { type: 'events', options: {} }, context({ pgBin: bin, signal: stopping.signal })),
  )
  setTimeout(() => stopping.abort(), 500)
  t.match(await stopped, { kind: 'stopped' })
  t.ok(existsSync(folder))
  t.throws(() => execFileSync('pgrep', ['-f', `${bin}/pg_dump`]), 'and no program goes on')
})
