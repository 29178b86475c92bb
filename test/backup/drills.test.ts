import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createBackup } from '../../src/backup/create-backup.ts'
import { openDestination } from '../../src/backup/destinations/destinations.ts'
import { runDrill } from '../../src/backup/drills/run-drill.ts'
import { DEFAULT_POLICY } from '../../src/backup/policy/policy.ts'
import { verifyBackup } from '../../src/backup/verify-backup.ts'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { DEBIAN_BIN, isDebianPostgresAbsent, startDebianPostgres } from '../support/debian-postgres.ts'
import { createTestDatabase, runSql, testFolder } from '../support/postgres.ts'
import { isResticAbsent } from '../support/restic.ts'
import { startTestS3 } from '../support/s3.ts'
import { spawnAnnals } from '../support/service.ts'

const context = { signal: new AbortController().signal, progress() {}, log() {} }

t.test('Drills really happen, go on after a kill, and leave a report; the live store is not touched', async (t) => {
  const { url } = await createTestDatabase(t)
  await runMigrations(url)
  await runSql(
    url,
    `INSERT INTO events (stream_id, version, event_type, event_data) SELECT 'a', i, 'Made', '{}' FROM generate_series(1, 500) AS i`,
  )
  const folder = testFolder(t)
  const env = { DATABASE_URL: url, BACKUP_DIR: join(folder, 'backups'), DRILL_DIR: join(folder, 'drills') }
  const drill = (...args: string[]) => spawnAnnals(t, ['dr', 'drill', ...args, '--json'], env)

  const early = drill('lost-database')
  t.equal(await early.exit, 4)
  t.match(
    early.stderr.join('\n'),
    /there is no verified archive in .*: run annals backup create and annals backup verify first/,
  )

  const desk = { destination: openDestination(env.BACKUP_DIR), store: { url, schema: 'public' } }
  const { id } = await createBackup(desk, { type: 'archive', options: {} }, context)
  await verifyBackup(desk, { id, level: 1 }, context)
  const live = 'SELECT md5(string_agg(e::text, chr(10) ORDER BY position)) FROM events e'
  const before = await runSql(url, live)

  const killed = drill('lost-database')
  await killed.said('recover: ')
  killed.process.kill('SIGKILL')
  await killed.exit
  const resumed = drill('lost-database')
  t.equal(await resumed.exit, 0, resumed.stderr.join('\n'))
  t.match(resumed.stderr.join('\n'), /going on with drill_\d+_lost-database, after [34] of 5 steps/)
  const lost = JSON.parse(resumed.stdout.join('\n')) as { report: string; rto_seconds: number }
  t.match(lost, { scenario: 'lost-database', is_rto_met: true, rto_objective_seconds: 7_200 })
  t.ok(lost.rto_seconds > 0)
  const report = readFileSync(lost.report, 'utf8')
  for (const said of [
    'outcome | recovered',
    `backup | \`${id}\` in ${env.BACKUP_DIR}`,
    'taken up again | 1 times',
    ': met',
    '500 events up to position 500',
  ]) {
    t.ok(report.includes(said), said)
  }
  t.same(readdirSync(join(lost.report, '..')).toSorted(), ['report.md', 'state.json'], 'its clusters are gone')

  // Those that take longer run with TEST_DRILLS=all.
  const longer = process.env['TEST_DRILLS'] === 'all' ? ['kill-service', 'failover'] : []
  for (const scenario of ['corrupted-page', ...longer]) {
    const child = drill(scenario)
    t.equal(await child.exit, 0, child.stderr.join('\n'))
    t.match(JSON.parse(child.stdout.join('\n')), { scenario })
  }
  const upgrade = drill('upgrade')
  t.equal(await upgrade.exit, 4)
  t.match(upgrade.stderr.join('\n'), /it needs an older PostgreSQL: name its folder/)

  const empty = testFolder(t)
  const wrong = drill('upgrade', '--from-binaries', empty)
  t.equal(await wrong.exit, 4)
  t.match(wrong.stderr.join('\n'), /annals: --from-binaries .* has no bin\/postgres: name the folder/)
  t.notOk(readdirSync(env.DRILL_DIR).some((name) => name.endsWith('_upgrade')))

  const pitr = spawnAnnals(t, ['dr', 'drill', 'pitr'], { ...env, PG_BIN: empty })
  t.equal(await pitr.exit, 4)
  t.match(pitr.stderr.join('\n'), /pg_basebackup is not in PG_BIN .*: install PostgreSQL \d+'s programs/)

  const jobs = await runSql(
    url,
    `SELECT result->>'scenario' AS scenario FROM annals_jobs WHERE kind = 'drill' AND state = 'succeeded' ORDER BY 1`,
  )
  t.same(
    jobs.map(({ scenario }) => scenario),
    ['corrupted-page', 'lost-database', ...longer].toSorted(),
  )
  t.same(await runSql(url, live), before)

  const assessed = spawnAnnals(t, ['dr', 'assess'], env)
  t.equal(await assessed.exit, 0, assessed.stderr.join('\n'))
  t.match(JSON.parse(assessed.stdout.join('\n')), {
    postgresql: { is_reachable: true, head: 500 },
    backups: { newest_verified: id, faults: [] },
    objectives: { is_rpo_met: true },
    machine: { disks: { data: { free_bytes: Number } } },
  })
})

t.test('A lost database is rebuilt from what is off-site, and the report says from where', async (t) => {
  const { url } = await createTestDatabase(t)
  await runMigrations(url)
  const append = (from: number, to: number) =>
    runSql(
      url,
      `INSERT INTO events (stream_id, version, event_type, event_data) SELECT 'a', i, 'Made', '{}' FROM generate_series(${from}, ${to}) AS i`,
    )
  const { access, bucket, folder: objects } = await startTestS3(t)
  const folder = testFolder(t)
  const repository = join(folder, 'repository')
  const env = {
    ...{ DATABASE_URL: url, BACKUP_DIR: join(folder, 'backups'), DRILL_DIR: join(folder, 'drills') },
    ...{ ...access, RESTIC_PASSWORD: 'a good one' },
  }
  const place = `s3://${bucket}/annals`
  const store = { url, schema: 'public' }
  const deskAt = (address: string) => ({ destination: openDestination(address, env), store })
  const archive = (address: string) => createBackup(deskAt(address), { type: 'archive', options: {} }, context)
  await append(1, 480)
  const sent = await archive(place)
  await append(481, 500)
  const { id } = await archive(env.BACKUP_DIR)
  await verifyBackup(deskAt(env.BACKUP_DIR), { id, level: 1 }, context)

  const child = spawnAnnals(t, ['dr', 'drill', 'lost-database', '--offsite', place, '--json'], {
    ...env,
    BACKUP_OFFSITE: join(folder, 'elsewhere'),
  })
  t.equal(await child.exit, 0, child.stderr.join('\n'))
  const fromBucket = JSON.parse(child.stdout.join('\n')) as { report: string }
  t.match(fromBucket, { backup: sent.id, place })
  const report = readFileSync(fromBucket.report, 'utf8')
  for (const said of [
    `backup | \`${sent.id}\` in ${place}`,
    'of the 500 positions that were in use it lacks 20',
    `${sent.id} was brought from ${place}, checked, restored and compared`,
    '480 events up to position 480',
    'lost | 20 events',
  ]) {
    t.ok(report.includes(said), said)
  }

  const said: string[] = []
  const drillFrom = (address: string) =>
    runDrill(
      {
        ...{ scenario: 'lost-database', desk: deskAt(env.BACKUP_DIR), policy: DEFAULT_POLICY, root: env.DRILL_DIR },
        ...{ offsite: openDestination(address, env), options: {} },
      },
      { ...context, log: (line: string) => said.push(line) },
    )
  await t.test('from a restic repository', { skip: isResticAbsent }, async (t) => {
    execFileSync('restic', ['init', '--repo', repository], { env: { ...process.env, ...env } })
    const { id } = await archive(`restic:${repository}`)
    const { report, ...drilled } = await drillFrom(`restic:${repository}`)
    t.match(drilled, { backup: id, place: `restic:${repository}` })
    t.match(readFileSync(report, 'utf8'), /500 events up to position 500/)
  })

  const chunk = readdirSync(objects, { recursive: true, encoding: 'utf8' }).find(
    (name) => name.includes('events-') && name.endsWith('_object'),
  ) as string
  const bytes = readFileSync(join(objects, chunk))
  bytes[100] = (bytes[100] as number) ^ 1
  writeFileSync(join(objects, chunk), bytes)
  const damage = new RegExp(`${sent.id} has changed since it was written`)
  await t.rejects(drillFrom(place), { kind: 'damaged', message: damage })
  t.match(said.at(-1), /how far it came is in .*report\.md$/)
  const newest = join(env.DRILL_DIR, readdirSync(env.DRILL_DIR).toSorted().at(-1) as string)
  t.match(readFileSync(join(newest, 'report.md'), 'utf8'), damage, 'one that failed has its report')
  t.same(readdirSync(newest).toSorted(), ['report.md', 'state.json'], 'and its clusters are gone')
})

t.test(
  'Drills recover to just before a bad event, and upgrade from the version of the live server',
  { skip: isDebianPostgresAbsent },
  async (t) => {
    const live = await startDebianPostgres(t)
    await runMigrations(live.url)
    await runSql(
      live.url,
      `INSERT INTO events (stream_id, version, event_type, event_data) SELECT 'a', i, 'Made', '{}' FROM generate_series(1, 500) AS i`,
    )
    const folder = testFolder(t)
    const env = {
      ...{ DATABASE_URL: live.url, BACKUP_DIR: join(folder, 'backups'), DRILL_DIR: join(folder, 'drills') },
      PG_BIN: DEBIAN_BIN,
    }
    const desk = { destination: openDestination(env.BACKUP_DIR), store: { url: live.url, schema: 'public' } }
    const { id } = await createBackup(desk, { type: 'archive', options: {} }, context)
    await verifyBackup(desk, { id, level: 1 }, context)

    const child = spawnAnnals(t, ['dr', 'drill', 'pitr', '--json'], env)
    t.equal(await child.exit, 0, child.stderr.join('\n'))
    const { report, ...drilled } = JSON.parse(child.stdout.join('\n')) as { report: string }
    t.match(drilled, { scenario: 'pitr', is_rto_met: true, rto_seconds: Number })
    const text = readFileSync(report, 'utf8')
    for (const said of [
      /outcome \| recovered/,
      /lost \| 3 events/,
      /annals wal archive has put [0-9A-F]{24} into the archive/,
      // 500 of the backup and 100 that only the log had.
      /600 events up to position 600, digest \S+; no drill_\d+_pitr@101; epoch (\S+) became (?!\1)/,
    ]) {
      t.match(text, said)
    }
    t.same(readdirSync(join(report, '..')).toSorted(), ['report.md', 'state.json'], 'its clusters are gone')
    t.same(await runSql(live.url, 'SELECT count(*)::int AS events FROM events'), [{ events: 500 }])

    const upgrade = (more: Record<string, string> = {}) =>
      spawnAnnals(t, ['dr', 'drill', 'upgrade', '--from-binaries', join(DEBIAN_BIN, '..'), '--json'], {
        ...env,
        ...more,
      })
    const upgraded = upgrade()
    t.equal(await upgraded.exit, 0, upgraded.stderr.join('\n'))
    const { report: upgradeReport } = JSON.parse(upgraded.stdout.join('\n')) as { report: string }
    t.match(
      readFileSync(upgradeReport, 'utf8'),
      /in PostgreSQL 15\.\d+: 500 events[^]*filled: PostgreSQL 18\.\d+\.\n[^]*500 events up to position 500, digest/,
    )
    const policy = join(folder, 'policy.yaml')
    writeFileSync(policy, 'alerts: { warn_after_hours: 1, critical_after_hours: 1, drill_within_days: 30 }')
    const manifestFile = join(env.BACKUP_DIR, id, 'manifest.json')
    const manifest = readFileSync(manifestFile, 'utf8')
    const old = new Date(Date.now() - 2.5 * 3_600_000).toISOString()
    writeFileSync(manifestFile, manifest.replace(/"started_at": *"[^"]*"/, `"started_at": "${old}"`))
    const late = upgrade({ BACKUP_POLICY_FILE: policy })
    t.equal(await late.exit, 4)
    t.match(
      late.stderr.join('\n'),
      /the newest verified backup is 2 h old, and the policy calls 1 h critical: make one/,
    )
  },
)
