// annals backup prune: remove what the policy does not keep.

import type { Command } from 'commander'
import { readPolicy } from '../backup/policy/read-policy.ts'
import { pruneBackups } from '../backup/prune-backups.ts'
import type { RetentionPlan } from '../backup/retention.ts'
import { type DeskOptions, withFiles } from './backup-context.ts'
import { onDesk, print } from './backup-options.ts'
import { table } from './table.ts'
import { commandSettings } from './target-database.ts'

export function pruneCommand(): Command {
  return onDesk('prune', 'remove the backups that the policy does not keep')
    .option('--dry-run', 'only say what would go, and why the others stay')
    .action((options: DeskOptions & { dryRun?: boolean }) =>
      withFiles(options, async (desk, context) => {
        const policy = readPolicy(commandSettings().BACKUP_POLICY_FILE)
        const isDryRun = options.dryRun ?? false
        const plan = await pruneBackups(desk, { policy, now: new Date(), isDryRun }, context)
        print(options, { ...plan, dry_run: isDryRun }, () => describe(plan, isDryRun))
      }),
    )
}

function describe({ keep, remove }: RetentionPlan, isDryRun: boolean): string {
  if (keep.length + remove.length === 0) return 'there are no backups'
  const gone = isDryRun ? 'would go' : 'removed'
  return table(
    ['id', '', 'why'],
    [
      ...remove.map((id) => [id, gone, 'no rule keeps it']),
      ...keep.map(({ id, reasons }) => [id, 'stays', reasons.join(', ')]),
    ],
  )
}
