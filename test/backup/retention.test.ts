import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createBackup } from '../../src/backup/create-backup.ts'
import { openDestination } from '../../src/backup/destinations/destinations.ts'
import { DEFAULT_POLICY, type RetentionRules } from '../../src/backup/policy/policy.ts'
import { parsePolicy, readPolicy } from '../../src/backup/policy/read-policy.ts'
import { pruneBackups } from '../../src/backup/prune-backups.ts'
import { planRetention } from '../../src/backup/retention.ts'
import { verifyBackup } from '../../src/backup/verify-backup.ts'
import { SettingsError } from '../../src/config.ts'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { createTestDatabase, runSql, testFolder } from '../support/postgres.ts'

const DAY_MS = 86_400_000
const NOW = new Date('2026-06-30T12:00:00Z')
const NOTHING: RetentionRules = { days: 0, keep_min: 1, daily: 0, weekly: 0, monthly: 0 }

interface Given {
  /** Days before NOW. */
  age: number
  type?: string
  verified?: boolean
  /** Age of the one that it adds to. */
  base?: number
}

const idOf = (age: number, type = 'archive') => `${type}-${age}`
const entries = (given: Given[]) =>
  given.map(({ age, type = 'archive', verified = false, base }) => ({
    ...{ id: idOf(age, type), type, started_at: new Date(NOW.getTime() - age * DAY_MS).toISOString() },
    base: base === undefined ? null : idOf(base, type),
    verified: verified ? { level: 1, at: NOW.toISOString() } : null,
  }))
const keptAges = (given: Given[], rules: Partial<RetentionRules>, timezone = 'UTC') =>
  planRetention(entries(given), { ...NOTHING, ...rules }, { now: NOW, timezone }).keep.map(({ id }) => id)
const daily = (days: number): Given[] => Array.from({ length: days }, (_, age) => ({ age }))

t.test('Each rule keeps what it says, and nothing else', async (t) => {
  const cases: [title: string, given: Given[], rules: Partial<RetentionRules>, kept: string[]][] = [
    ['no backup is no plan', [], {}, []],
    ['the newest stays whatever the rules say', daily(5), {}, [idOf(0)]],
    ['those younger than the days stay', daily(5), { days: 2 }, [idOf(0), idOf(1)]],
    [
      'the newest so many stay, however old',
      [{ age: 400 }, { age: 500 }, { age: 600 }],
      { keep_min: 2 },
      [idOf(400), idOf(500)],
    ],
    [
      'the newest verified one stays behind newer ones that were not',
      [{ age: 0 }, { age: 100 }, { age: 200, verified: true }, { age: 300, verified: true }],
      {},
      [idOf(0), idOf(200)],
    ],
    [
      'one a day',
      [{ age: 0 }, { age: 0.1 }, { age: 0.9 }, { age: 1.2 }, { age: 2 }],
      { daily: 2 },
      [idOf(0), idOf(0.9)],
    ],
    // 2026-06-30 is a Tuesday: its week began a day before.
    ['one a week', daily(20), { weekly: 3 }, [idOf(0), idOf(2), idOf(9)]],
    ['one a month', daily(100), { monthly: 3 }, [idOf(0), idOf(30), idOf(61)]],
    [
      'a whole chain stays with its youngest',
      [{ age: 1, base: 40 }, { age: 40, base: 50 }, { age: 50 }, { age: 60 }],
      { days: 2 },
      [idOf(1), idOf(40), idOf(50)],
    ],
    [
      'types are judged apart',
      [{ age: 1 }, { age: 2 }, { age: 90, type: 'schema' }, { age: 91, type: 'schema' }],
      {},
      [idOf(1), idOf(90, 'schema')],
    ],
    [
      'a physical one that is older than the days stays under the WAL of them',
      [
        { age: 5, type: 'physical' },
        { age: 35, type: 'physical' },
        { age: 42, type: 'physical' },
      ],
      { days: 30 },
      [idOf(5, 'physical'), idOf(35, 'physical')],
    ],
  ]
  for (const [title, given, rules, kept] of cases) t.same(keptAges(given, rules), kept, title)
  t.same(keptAges([{ age: 0 }, { age: 0.45 }, { age: 0.55 }], { daily: 2 }, 'UTC'), [idOf(0), idOf(0.55)])
  t.same(keptAges([{ age: 0 }, { age: 0.45 }, { age: 0.55 }], { daily: 2 }, 'Asia/Tokyo'), [idOf(0)])
})

t.test('A year of daily backups under the built-in policy leaves 30 days and a month each', async (t) => {
  const { retention: rules, timezone } = DEFAULT_POLICY
  let held: Given[] = []
  for (let day = 0; day < 365; day++) {
    held = [{ age: 0, verified: true }, ...held.map((each) => ({ ...each, age: each.age + 1 }))]
    const now = new Date(NOW.getTime() + day * DAY_MS)
    const moved = entries(held).map((entry, i) => ({
      ...entry,
      started_at: new Date(now.getTime() - (held[i] as Given).age * DAY_MS).toISOString(),
    }))
    const { keep } = planRetention(moved, rules, { now, timezone })
    held = held.filter(({ age }) => keep.some(({ id }) => id === idOf(age)))
  }
  const ages = held.map(({ age }) => age)
  t.same(
    ages.slice(0, 30),
    Array.from({ length: 30 }, (_, age) => age),
  )
  t.equal(ages.length, 34, 'and the newest of each of four months before')
  t.ok((ages.at(-1) as number) > 120)
})

t.test('Pruning says first what it would do, then does it, leaves whole chains, and writes it down', async (t) => {
  const { url } = await createTestDatabase(t)
  await runMigrations(url)
  const folder = join(testFolder(t), 'backups')
  const desk = { destination: openDestination(folder), store: { url, schema: 'public' } }
  const context = { signal: new AbortController().signal, progress() {}, log() {} }
  const make = async (since?: string) =>
    (await createBackup(desk, { type: 'archive', options: {}, ...(since !== undefined && { since }) }, context)).id
  const old = await make()
  const verified = await make()
  await verifyBackup(desk, { id: verified, level: 1 }, context)
  const base = await make()
  const newest = await make(base)

  const policy = { ...DEFAULT_POLICY, retention: NOTHING }
  const order = { policy, now: new Date(Date.now() + DAY_MS), isDryRun: true }
  const plan = await pruneBackups(desk, order, context)
  t.same(plan.remove, [old])
  t.same(
    plan.keep.map(({ id, reasons }) => [id, reasons]),
    [
      [newest, ['the newest', 'one of the newest 1']],
      [base, [`${newest} adds to it`]],
      [verified, ['the newest that was verified']],
    ],
  )
  t.equal((await desk.destination.list()).backups.length, 4, 'a dry run removes nothing')

  t.same(await pruneBackups(desk, { ...order, isDryRun: false }, context), plan)
  t.same(
    (await desk.destination.list()).backups.map(({ manifest }) => manifest.id),
    [verified, base, newest],
  )
  t.same(await runSql(url, `SELECT id FROM annals_backups WHERE state = 'removed'`), [{ id: old }])
  t.match(await runSql(url, `SELECT state, result FROM annals_jobs WHERE kind = 'prune'`), [
    { state: 'succeeded', result: { removed: [old], kept: 3 } },
  ])
  t.same((await pruneBackups(desk, { ...order, isDryRun: false }, context)).remove, [], 'there is nothing more to do')
})

t.test('A policy is JSON or YAML; what it leaves out is built in, and what is wrong is named', async (t) => {
  t.equal(readPolicy(undefined), DEFAULT_POLICY)
  t.match(parsePolicy('retention: {days: 7, keep_min: 1, daily: 0, weekly: 0, monthly: 0}', 'x'), {
    retention: { days: 7 },
    schedules: DEFAULT_POLICY.schedules,
  })
  t.match(parsePolicy('{"timezone":"Europe/Berlin"}', 'x'), { timezone: 'Europe/Berlin' })
  const file = join(mkdtempSync(join(testFolder(t), 'policy-')), 'policy.yaml')
  writeFileSync(file, 'timezone: Europe/Paris\nschedules: []\n')
  t.match(readPolicy(file), { timezone: 'Europe/Paris', schedules: [] })

  const schedule = (change: string) => `schedules: [{name: a, cron: "0 2 * * *", task: prune${change}}]`
  const create = (rest: string) => `schedules: [{name: a, cron: "0 2 * * *", task: create, ${rest}}]`
  const cases: [text: string, said: RegExp][] = [
    ['- a', /must hold an object/],
    ['{', /neither JSON nor YAML/],
    ['retension: {}', /\/retension: Unexpected property/],
    ['retention: {days: 7}', /\/retention\/keep_min: /],
    [
      'retention: {days: 7, keep_min: 0, daily: 0, weekly: 0, monthly: 0}',
      /\/retention\/keep_min: .*greater or equal to 1/,
    ],
    ['timezone: Mars/Olympus', /no time zone "Mars\/Olympus"/],
    [schedule(', type: archive'), /\/schedules\/0: .*a schedule has name, cron, and task/],
    [`schedules: [{name: a, cron: "0 2 * *", task: prune}]`, /the cron of a is "0 2 \* \*": /],
    [`schedules: [{name: a, cron: "0 0 31 2 *", task: prune}]`, /the cron of a is "0 0 31 2 \*": it never comes/],
    [
      `schedules: [{name: a, cron: "0 2 * * *", task: prune}, {name: a, cron: "0 3 * * *", task: prune}]`,
      /two schedules have the name a/,
    ],
    [create('type: pgdump'), /the schedule a has the type "pgdump"; those that are: archive, full, /],
    [create('type: archive, kind: full'), /the schedule a has a kind, which is for the type pgbackrest/],
    [create('type: full, incremental: true'), /a is incremental, and a backup of type full can't add to another one/],
    [create('type: pgbackrest, incremental: true'), /a is incremental; of this type say "kind": "incr" or "diff"/],
    ['alerts: {warn_after_hours: 24, critical_after_hours: 2, drill_within_days: 30}', /must not be less than/],
  ]
  for (const [text, said] of cases) {
    t.throws(() => parsePolicy(text, 'policy.yaml'), said, text)
    t.throws(() => parsePolicy(text, 'policy.yaml'), { name: SettingsError.name }, text)
  }
  t.throws(
    () => readPolicy('/nowhere/policy.json'),
    /BACKUP_POLICY_FILE: \/nowhere\/policy.json can't be read \(ENOENT\)/,
  )
})
