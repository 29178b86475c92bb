// What is made from the policy: when it changes, all of it changes.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { alertRules } from '../../src/backup/policy/alert-rules.ts'
import { type BackupPolicy, DEFAULT_POLICY } from '../../src/backup/policy/policy.ts'
import { policyDocument } from '../../src/backup/policy/policy-document.ts'
import { PROVIDERS } from '../../src/backup/policy/provider-plan.ts'
import { cronJobs, crontab, s3Lifecycle } from '../../src/backup/schedules/for-others.ts'
import { testFolder } from '../support/postgres.ts'
import { spawnAnnals } from '../support/service.ts'

const WINTER = new Date('2026-01-15T12:00:00Z')
const SUMMER = new Date('2026-07-15T12:00:00Z')

const OUTPUTS: Record<string, (policy: BackupPolicy) => string> = {
  crontab: (policy) => crontab(policy, policy.schedules),
  kubernetes: (policy) => cronJobs(policy, policy.schedules, { image: 'i', secret: 's', claim: 'c' }),
  prometheus: alertRules,
  lifecycle: (policy) => s3Lifecycle(policy, ''),
  document: policyDocument,
  rds: (policy) => PROVIDERS.rds(policy, 'annals', WINTER),
}

type Leaf = string | number | boolean

/** Every value that the policy has, with a copy of the policy in which it is another one. */
function* changed(value: unknown, path: string[] = []): Generator<{ path: string; policy: BackupPolicy }> {
  if (typeof value === 'object' && value !== null) {
    for (const [name, each] of Object.entries(value)) yield* changed(each, [...path, name])
    return
  }
  const policy = structuredClone(DEFAULT_POLICY) as BackupPolicy
  const parent = path
    .slice(0, -1)
    .reduce((at, name) => at[name] as Record<string, unknown>, policy as Record<string, unknown>)
  parent[path.at(-1) as string] = other(value as Leaf, path.at(-1) as string)
  yield { path: path.join('.'), policy }
}

function other(value: Leaf, name: string): Leaf {
  if (name === 'timezone') return 'Europe/Berlin'
  if (name === 'cron') return '30 6 * * *'
  if (name === 'task') return value === 'prune' ? 'prune' : 'create'
  if (name === 'to') return 'local'
  if (typeof value === 'boolean') return !value
  return typeof value === 'number' ? value + 1 : `${value}-2`
}

/** Beside the document, which is about everything: what each member of the policy is in. */
const ABOUT: [path: RegExp, outputs: string[]][] = [
  [/^timezone$/, ['crontab', 'kubernetes', 'rds']],
  [/^schedules\.0\.cron$/, ['crontab', 'kubernetes', 'rds']],
  [/^schedules\.\d\.(name|cron)$/, ['crontab', 'kubernetes']],
  [/^schedules\.\d\.type$/, ['prometheus']],
  [/^retention\.days$/, ['rds']],
  [/^(alerts|objectives)\./, ['prometheus']],
  [/^offsite_expire_days$/, ['lifecycle']],
]

t.test('Each value of the policy is in its document, and in all else that is made from it', async (t) => {
  const built = (policy: BackupPolicy) =>
    Object.keys(OUTPUTS).filter((name) => OUTPUTS[name]?.(policy) !== OUTPUTS[name]?.(DEFAULT_POLICY))
  let values = 0
  for (const { path, policy } of changed(DEFAULT_POLICY)) {
    if (path.endsWith('.task')) continue
    values++
    const outputs = ABOUT.find(([about]) => about.test(path))?.[1] ?? []
    t.same(built(policy).toSorted(), ['document', ...outputs].toSorted(), path)
  }
  t.ok(values > 30, `${values} values`)
})

t.test('A provider is told the days and the hour of the policy, within what it can', async (t) => {
  const rds = (change: Partial<BackupPolicy>, now = WINTER) =>
    PROVIDERS.rds({ ...DEFAULT_POLICY, ...change }, 'orders-db', now)
  t.equal(
    rds({}),
    `# A snapshot a day and the log since then, kept for 30 days. The window is in UTC.
aws rds modify-db-instance \\
  --db-instance-identifier orders-db \\
  --backup-retention-period 30 \\
  --preferred-backup-window 02:00-03:00 \\
  --copy-tags-to-snapshot \\
  --deletion-protection \\
  --apply-immediately

# Whether it is so, and up to when it could be recovered now:
aws rds describe-db-instances --db-instance-identifier orders-db --output table \\
  --query 'DBInstances[0].[BackupRetentionPeriod,PreferredBackupWindow,LatestRestorableTime]'

# So that annals backup list, the metrics and annals dr assess know of them; every hour, for instance:
aws rds describe-db-instance-automated-backups --db-instance-identifier orders-db --output text \\
  --query 'DBInstanceAutomatedBackups[0].RestoreWindow.[EarliestTime,LatestTime]' |
  { read -r from to && annals backup attest pitr rds:orders-db --from "$from" --to "$to"; }

# Back to a moment, in an instance beside the one in use. Afterwards readers have to be told.
aws rds restore-db-instance-to-point-in-time \\
  --source-db-instance-identifier orders-db \\
  --target-db-instance-identifier orders-db-recovered \\
  --restore-time 2026-01-15T09:30:00Z
annals restore new-epoch --database-url postgres://USER@HOST/DATABASE

# RDS's backups go with the account that they are in. Have archives elsewhere, and prove that they come back:
annals backup create --dir s3://BUCKET/PREFIX
annals backup test BACKUP --dir s3://BUCKET/PREFIX
`,
  )
  const retention = (days: number) => ({ retention: { ...DEFAULT_POLICY.retention, days } })
  t.match(rds(retention(90)), /period 35 [^]*--apply-immediately/)
  t.match(rds(retention(90)), /# The policy says 90 days; RDS keeps its own for 1 to 35\./)
  t.match(rds(retention(0)), /--backup-retention-period 1 /, '0 would turn them off')
  t.match(rds({ timezone: 'Europe/Berlin' }), /window 01:00-02:00/)
  t.match(rds({ timezone: 'Europe/Berlin' }, SUMMER), /window 00:00-01:00/)
  t.notMatch(rds({ schedules: [] }), /preferred-backup-window/)
})

t.test('The commands print them for the policy that is set', async (t) => {
  const file = join(testFolder(t), 'policy.yaml')
  writeFileSync(file, 'timezone: Europe/Berlin\nretention: { days: 7, keep_min: 1, daily: 0, weekly: 0, monthly: 0 }\n')
  const run = async (...args: string[]) => {
    const child = spawnAnnals(t, args, { BACKUP_POLICY_FILE: file })
    return { code: await child.exit, text: child.stdout.join('\n'), said: child.stderr.join('\n') }
  }
  t.match(await run('backup', 'plan', '--provider', 'rds', '--instance', 'x'), {
    code: 0,
    text: /--db-instance-identifier x [^]*--backup-retention-period 7 /,
  })
  t.match(await run('schedules', 'generate', 'markdown'), {
    code: 0,
    text: /^# How this store is backed up\n[^]*when \(Europe\/Berlin\)[^]*For 7 days;/,
  })
  t.match(await run('backup', 'plan', '--provider', 'rds', '--instance', 'a;b'), { code: 64, said: /letters, digits/ })
})
