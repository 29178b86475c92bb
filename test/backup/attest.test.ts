// Backups that were made elsewhere, as somebody says: known everywhere, and counted nowhere as a backup that was read.

import t from 'tap'
import { type AttestOrder, attest, withdraw } from '../../src/backup/attest.ts'
import { readCatalogue } from '../../src/backup/catalogue.ts'
import { createBackup } from '../../src/backup/create-backup.ts'
import { assess } from '../../src/backup/drills/assess.ts'
import { DEFAULT_POLICY } from '../../src/backup/policy/policy.ts'
import { pruneBackups } from '../../src/backup/prune-backups.ts'
import { testBackup } from '../../src/backup/test-backup.ts'
import { verifyBackup } from '../../src/backup/verify-backup.ts'
import { loadSettings } from '../../src/config.ts'
import { readBackupFigures } from '../../src/db/backup/backup-figures.ts'
import { connectToStore } from '../../src/db/backup/store-connection.ts'
import { backupMetrics } from '../../src/metrics/backups.ts'
import { createRegistry } from '../../src/metrics/registry.ts'
import { context, failure, makeArchive, newDesk, restore, type TestDesk } from '../support/backups.ts'
import { createTestDatabase, runSql } from '../support/postgres.ts'
import { spawnAnnals } from '../support/service.ts'

const server = await createTestDatabase(t)
const ago = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString()
const snapshot = (more: Partial<AttestOrder> = {}): AttestOrder => ({
  ...{ kind: 'snapshot', reference: 'rds:orders-1', at: ago(10), bytes: 20e9, by: 'night job' },
  ...more,
})
const window = (more: Partial<AttestOrder> = {}): AttestOrder => ({
  ...{ kind: 'pitr', reference: 'rds:orders', from: ago(100), to: ago(1) },
  ...more,
})

async function figuresOf({ url, desk }: TestDesk) {
  const client = await connectToStore({ url, schema: 'public' }, 'test')
  const figures = await readBackupFigures((text, values) => client.query(text, values), 'public')
  await client.end()
  const registry = createRegistry()
  backupMetrics(registry, () => ({ ...figures, at: performance.now() }))
  const settings = { ...loadSettings({ DATABASE_URL: url }).settings }
  const assessed = (await assess(desk, { settings, policy: DEFAULT_POLICY })) as Record<string, Record<string, unknown>>
  return { figures, assessed, metrics: await registry.metrics() }
}

t.test(
  'What is attested is listed, measured and assessed, and changes nothing that only a backup proves',
  async (t) => {
    const made = await newDesk(t, server)
    const { desk } = made
    const before = await figuresOf(made)
    t.same(before.figures.attested, [])
    t.match(before.assessed, { backups: { attested: [] }, objectives: { rpo_seconds_attested: null } })

    const first = await attest(desk, snapshot())
    const second = await attest(desk, window())
    const { entries, attested } = await readCatalogue(desk)
    t.same(entries, [])
    t.same(attested, [second, first], 'the newest moment first')
    t.match(first, { kind: 'snapshot', reference: 'rds:orders-1', bytes: 20e9, attested_by: 'night job' })
    t.equal(first.shows_from, first.shows_to)
    t.match(second.attested_by, /^\w+@.+/, 'the role and the machine')

    const after = await figuresOf(made)
    const { attested: counted, ...others } = after.figures
    const { attested: _, ...othersBefore } = before.figures
    t.same(others, othersBefore, 'nothing else is counted')
    t.same(others.recovery_point, null)
    t.same(
      counted.map(({ kind, bytes }) => [kind, bytes]),
      [
        ['pitr', null],
        ['snapshot', 20e9],
      ],
    )
    t.match(after.metrics, /^backup_attested_timestamp_seconds\{kind="snapshot"\} \d/m)
    t.match(after.metrics, /^backup_attested_size_bytes\{kind="snapshot"\} 20000000000$/m)
    t.notMatch(after.metrics, /^(backup_last_success|backup_first_recoverability|dr_rpo)\S* \d/m)
    t.match(after.assessed, {
      backups: { attested: [{ id: second.id }, { id: first.id }], newest: [], newest_verified: null },
      objectives: { rpo_seconds_current: null, is_rpo_met: null },
    })
    const age = after.assessed['objectives']?.['rpo_seconds_attested'] as number
    t.ok(age >= 3_600 && age < 3_700, `${age} s`)

    for (const refused of [
      () => verifyBackup(desk, { id: first.id, level: 0 }, context()),
      () => testBackup(desk, first.id, context()),
      () => restore(desk, first.id, made.url),
      () => createBackup(desk, { type: 'archive', since: first.id, options: {} }, context()),
    ]) {
      t.match(await failure(refused()), { kind: 'refused', message: /is only attested: Annals has never read it/ })
    }
    t.match(await failure(testBackup(desk, undefined, context())), { kind: 'not_found', message: /no verified backup/ })

    const archive = await makeArchive(desk)
    const said: string[] = []
    const policy = { ...DEFAULT_POLICY, retention: { days: 0, keep_min: 1, daily: 0, weekly: 0, monthly: 0 } }
    const job = { ...context(), log: (line: string) => said.push(line) }
    const plan = await pruneBackups(desk, { policy, now: new Date(), isDryRun: false }, job)
    t.same([plan.keep.map(({ id }) => id), plan.remove], [[archive.id], []])
    t.match(said, [/attested_\w+, attested_\w+ were made elsewhere: no rule counts them/])
    t.equal((await readCatalogue(desk)).attested.length, 2)
  },
)

t.test('A window moves, what has expired is forgotten, and what is gone is withdrawn', async (t) => {
  const { desk, url } = await newDesk(t, server)
  const first = await attest(desk, window())
  const moved = await attest(desk, window({ from: ago(90), to: ago(0), by: 'somebody else' }))
  t.equal(moved.id, first.id)
  t.ok(moved.shows_to > first.shows_to && moved.attested_at > first.attested_at)
  t.same((await readCatalogue(desk)).attested, [moved])
  const brief = await attest(desk, snapshot({ expires: new Date(Date.now() + 86_400_000).toISOString() }))
  t.equal((await readCatalogue(desk)).attested.length, 2)
  await runSql(url, `UPDATE annals_attestations SET expires_at = now() WHERE id = '${brief.id}'`)
  t.same((await readCatalogue(desk)).attested, [moved])
  await withdraw(desk, moved.id)
  t.same((await readCatalogue(desk)).attested, [])
  t.match(await failure(withdraw(desk, moved.id)), { kind: 'not_found', message: /nothing is attested as "attested_/ })
})

t.test('What can not be is refused in words, and leaves what was said', async (t) => {
  const { desk, url } = await newDesk(t, server)
  await attest(desk, snapshot({ at: '2026-01-15T02:10:00Z' }))
  const cases: [order: AttestOrder, message: RegExp][] = [
    [snapshot({ at: undefined }), /a snapshot shows one moment: give --at/],
    [snapshot({ to: ago(1) }), /a snapshot shows one moment: give --at/],
    [window({ from: undefined }), /give --from and --to/],
    [window({ at: ago(1) }), /give --from and --to, and not --at/],
    [snapshot({ at: 'yesterday' }), /"yesterday" is no moment; one looks like 2026-01-15T09:30:00Z/],
    [snapshot({ at: '2026-01-15T09:30:00' }), /with an offset from UTC/],
    [snapshot({ at: ago(-1) }), /is in the future, which no backup can show/],
    [window({ from: ago(1), to: ago(2) }), /ends before it begins/],
    [snapshot({ expires: ago(1) }), /what expired at .* is there no more/],
    [snapshot({ reference: ' ' }), /a reference is 1 to 500 characters/],
    [snapshot({ reference: 'a\u0000b' }), /a reference is 1 to 500 characters that can be printed/],
    [snapshot({ reference: 'x'.repeat(501) }), /a reference is 1 to 500 characters/],
    [snapshot({ by: '' }), /who says so is 1 to 100 characters/],
    [snapshot(), /rds:orders-1 is attested already, as attested_\w+, with the moment 2026-01-15T02:10:00/],
    [window({ reference: 'rds:orders-1' }), /attested already, as attested_\w+, of kind snapshot: withdraw that first/],
  ]
  for (const [order, message] of cases) t.match(await failure(attest(desk, order)), { kind: 'refused', message })
  t.equal((await readCatalogue(desk)).attested.length, 1)

  await runSql(url, 'DROP TABLE annals_attestations')
  t.match(await failure(attest(desk, snapshot())), { kind: 'refused', message: /run `annals migrate up` first/ })
  t.match(await readCatalogue(desk), { attested: [], faults: [] }, 'the rest of an older store is known all the same')
})

t.test('The commands say it as the functions do', async (t) => {
  const { url, folder } = await newDesk(t, server)
  const run = async (...args: string[]) => {
    const child = spawnAnnals(t, ['backup', ...args], { DATABASE_URL: url, BACKUP_DIR: folder })
    return { code: await child.exit, text: child.stdout.join('\n'), said: child.stderr.join('\n') }
  }
  const at = '2026-01-15T02:10:00Z'
  const attested = await run('attest', 'snapshot', 'rds:orders-1', '--at', at, '--size', '20GB', '--by', 'ops')
  const id = /attested_\w+/.exec(attested.text)?.[0] ?? ''
  t.match(attested, { code: 0, text: /^attested_\w{12}: rds:orders-1, 2026-01-15T02:10:00Z, says ops$/ })
  const [list, show, verify] = await Promise.all([run('list'), run('show', id), run('verify', id)])
  t.match(list, { code: 0, text: /^there are no backups\n\nmade elsewhere[^]*20\.0 GB .* ops +rds:orders-1$/ })
  t.match(show, { code: 0, text: /never read it[^]*rds:orders-1/ })
  t.match(verify, { code: 4, said: /is only attested/ })
  t.match(await run('withdraw', id), { code: 0, text: `${id} is forgotten` })
})
