// Which backups a store needs: the decision table cell by cell, its edges, and the command that prints the choice.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { DRIVERS } from '../../src/backup/drivers.ts'
import { chooseBackups, LARGE_BYTES, type Need, RATES } from '../../src/backup/plan/choose-backups.ts'
import { PARTS, PERIODS } from '../../src/backup/plan/parts.ts'
import { parsePolicy, readPolicy } from '../../src/backup/policy/read-policy.ts'
import { createTestDatabase, testFolder } from '../support/postgres.ts'
import { spawnAnnals } from '../support/service.ts'

const [GB, MINUTE, HOUR, DAY] = [1e9, 60, 3_600, 86_400]

const need = (size: number, rpo: number, rto: number, isManaged = false): Need => ({
  ...{ sizeBytes: size, rpoSeconds: rpo, rtoSeconds: rto, isManaged },
})

/** Every cell of the table; several lines where there are several ways into it. */
const CELLS: [cell: string, need: Need, types: string[]][] = [
  ['copies, own', need(20 * GB, DAY, 4 * HOUR), ['archive']],
  ['copies, own', need(1 * GB, HOUR, 4 * HOUR), ['archive']],
  ['copies, large', need(200 * GB, DAY, 12 * HOUR), ['archive']],
  ['copies, managed', need(20 * GB, DAY, 4 * HOUR, true), ['provider', 'archive']],
  ['log, own', need(20 * GB, 5 * MINUTE, 4 * HOUR), ['physical', 'archive']],
  ['log, own', need(50 * GB, DAY, HOUR), ['physical', 'archive']],
  ['log, large', need(500 * GB, 5 * MINUTE, 8 * HOUR), ['pgbackrest', 'archive']],
  ['log, large', need(500 * GB, DAY, 8 * HOUR), ['pgbackrest', 'archive']],
  ['log, managed', need(20 * GB, 5 * MINUTE, 4 * HOUR, true), ['provider', 'archive']],
  ['log, managed', need(500 * GB, DAY, 8 * HOUR, true), ['provider', 'archive']],
  ['standby, own', need(20 * GB, 0, 4 * HOUR), ['standby', 'physical', 'archive']],
  ['standby, own', need(20 * GB, DAY, 5 * MINUTE), ['standby', 'physical', 'archive']],
  ['standby, large', need(500 * GB, MINUTE, DAY), ['standby', 'pgbackrest', 'archive']],
  ['standby, large', need(2_000 * GB, DAY, 4 * HOUR), ['standby', 'pgbackrest', 'archive']],
  ['standby, managed', need(20 * GB, 0, 4 * HOUR, true), ['standby', 'provider', 'archive']],
  ['standby, managed', need(2_000 * GB, DAY, 4 * HOUR, true), ['standby', 'provider', 'archive']],
]

t.test('Each cell of the table gives its kinds, with schedules that are a policy', async (t) => {
  for (const [cell, asked, types] of CELLS) {
    const { way, server, parts, schedules } = chooseBackups(asked)
    t.equal(`${way}, ${server}`, cell)
    t.same(
      parts.map(({ type }) => type),
      types,
      cell,
    )
    t.same(parsePolicy(JSON.stringify({ schedules }), cell).schedules, schedules, 'which the policy takes')
    const scheduled = new Set(schedules.map((each) => (each.task === 'create' ? each.type : '')))
    const made = types.filter((type) => DRIVERS.some((driver) => driver.type === type))
    t.same([...scheduled].toSorted(), made.toSorted(), 'every kind that Annals makes is scheduled')
    t.ok(schedules.some((each) => each.task === 'create' && each.to === 'offsite'))
  }
  t.equal(new Set(CELLS.map(([cell]) => cell)).size, 9)
  const others = Object.values(PARTS).filter(({ type }) => DRIVERS.every((driver) => driver.type !== type))
  t.same(others.map(({ type }) => type).toSorted(), ['provider', 'standby'])
})

t.test('The edges between the cells are where the numbers say', async (t) => {
  const wayOf = (...asked: Parameters<typeof need>) => chooseBackups(need(...asked)).way
  // Half of the time is for the restore: of rows, and of files.
  t.equal(wayOf(RATES.rows * 1_000, DAY, 2_000), 'copies')
  t.equal(wayOf(RATES.rows * 1_000, DAY, 1_999), 'log')
  t.equal(wayOf(RATES.files * 1_000, DAY, 2_000), 'log')
  t.equal(wayOf(RATES.files * 1_000, DAY, 1_999), 'standby')
  t.equal(wayOf(GB, 15 * MINUTE + 1, DAY), 'copies')
  t.equal(wayOf(GB, 15 * MINUTE, DAY), 'log')
  t.equal(wayOf(GB, 120, DAY), 'log')
  t.equal(wayOf(GB, 119, DAY), 'standby')
  t.equal(wayOf(GB, 300, DAY, true), 'log')
  t.equal(wayOf(GB, 299, DAY, true), 'standby', 'a log that a provider keeps ends earlier')
  t.equal(chooseBackups(need(LARGE_BYTES, DAY, DAY)).server, 'large')
  t.equal(chooseBackups(need(LARGE_BYTES - 1, DAY, DAY)).server, 'own')
})

t.test('Increments are made more often than what may be lost lasts', async (t) => {
  const increments = (rpo: number) =>
    chooseBackups(need(GB, rpo, DAY)).schedules.find(({ name }) => name === 'increments')
  for (const { seconds, increments: cron } of PERIODS) {
    t.match(increments(seconds + 1), { cron, incremental: true }, `${seconds} s`)
    t.not(increments(seconds)?.cron, cron, 'a backup counts only when it is whole')
  }
})

t.test('The command chooses for what it is told, for what it measures, and for the policy', async (t) => {
  const folder = testFolder(t)
  const run = async (...args: string[]) => {
    const child = spawnAnnals(t, ['backup', 'plan', ...args], {}, folder)
    return { code: await child.exit, text: child.stdout.join('\n'), said: child.stderr.join('\n') }
  }
  const file = join(folder, 'policy.yaml')
  const { url } = await createTestDatabase(t)
  const [asked, measured, managed, unknown, wrong] = await Promise.all([
    run('--size', '500GB', '--rpo', '5m', '--rto', '8h'),
    run('--database-url', url, '--json'),
    run('--provider', 'rds', '--size', '0.5TB', '--rpo', '1d', '--rto', '8h'),
    run(),
    run('--size', '5 apples'),
  ])
  t.match(asked, { code: 0, text: /# pgbackrest: .*\n/ })
  writeFileSync(file, asked.text)
  const { schedules, objectives } = readPolicy(file)
  t.same(
    [schedules[0]?.name, objectives.rpo_seconds, objectives.rto_seconds['lost-database']],
    [...['pgbackrest-full', 5 * MINUTE, 8 * HOUR]],
  )
  t.match(JSON.parse(measured.text), {
    need: { rpo_seconds: DAY, rto_seconds: 2 * HOUR, is_managed: false },
    kinds: [{ type: 'archive' }],
  })
  t.ok(JSON.parse(measured.text).need.size_bytes > 1e6)
  const uncommented = managed.text.split('# For BACKUP_POLICY_FILE:\n')[1]?.split('\n\n')[0]?.replaceAll(/^# /gm, '')
  t.match(parsePolicy(uncommented ?? '', 'what it prints').schedules[0], { type: 'archive', to: 'offsite' })
  t.match(managed.text, /\naws rds modify-db-instance /)
  t.match(unknown, { code: 4, said: /say --size, or --database-url/ })
  t.match(wrong, { code: 64, said: /A size looks like 250GB/ })
})
