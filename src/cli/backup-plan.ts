// annals backup plan: which kinds of backup a store needs, as a policy; and what a provider has to be told.

import { Command, InvalidArgumentError, Option } from 'commander'
import { stringify } from 'yaml'
import { BackupError } from '../backup/backup-error.ts'
import type { Desk } from '../backup/desk.ts'
import { type Choice, chooseBackups, type Need, RATES } from '../backup/plan/choose-backups.ts'
import type { BackupPolicy } from '../backup/policy/policy.ts'
import { PROVIDERS, type Provider } from '../backup/policy/provider-plan.ts'
import { readPolicy } from '../backup/policy/read-policy.ts'
import { databaseBytes } from '../db/backup/describe-database.ts'
import { connectToStore } from '../db/backup/store-connection.ts'
import { type DeskOptions, withFiles } from './backup-context.ts'
import { print } from './backup-options.ts'
import { bytesArgument, secondsArgument, showBytes, showSeconds } from './quantities.ts'
import { databaseUrlOption } from './store-options.ts'
import { commandSettings } from './target-database.ts'

interface PlanOptions extends DeskOptions {
  size?: number
  rpo?: number
  rto?: number
  provider?: Provider
  instance: string
}

export function planCommand(): Command {
  return new Command('plan')
    .description('choose the kinds of backup that a store needs, and print them as a policy; nothing is run or changed')
    .option('--size <size>', 'of the database, for instance 250GB; measured when absent', bytesArgument)
    .option(
      '--rpo <time>',
      'as much of the newest data may be lost, for instance 15m (a bare number is seconds); as the policy when absent',
      secondsArgument,
    )
    .option(
      '--rto <time>',
      'it has to be back within, for instance 4h (or seconds); as the policy when absent',
      secondsArgument,
    )
    .addOption(
      new Option('--provider <provider>', 'that runs the database: prints its commands too').choices(
        Object.keys(PROVIDERS),
      ),
    )
    .option('--instance <name>', "the provider's name of the database", instanceArgument, 'annals')
    .addOption(databaseUrlOption())
    .option('--json', 'print the result as JSON')
    .action((options: PlanOptions) =>
      withFiles(options, async (desk) => {
        const { provider, instance } = options
        const policy = readPolicy(commandSettings().BACKUP_POLICY_FILE)
        const need = await needOf(options, policy, desk)
        const plan = need && planOf(need, policy)
        const commands = provider === undefined ? undefined : PROVIDERS[provider](policy, instance, new Date())
        print(options, { ...plan, ...(commands !== undefined && { commands }) }, () => {
          const reasons = plan === undefined ? SIZE_UNKNOWN : reasonsOf(plan)
          const yaml = plan === undefined ? '' : stringify(plan.policy, { lineWidth: 0 }).trimEnd()
          // A policy file; with a provider a script, in which the policy is a comment too.
          if (commands === undefined) return `${comment(reasons)}\n\n${yaml}`
          return `${comment(yaml === '' ? reasons : `${reasons}\n\nFor BACKUP_POLICY_FILE:\n${yaml}`)}\n\n${commands.trimEnd()}`
        })
      }),
    )
}

/** The scenario that the backups are chosen for. */
const LOST = 'lost-database'
const SIZE_UNKNOWN = 'With --size, or a database that can be asked, the kinds of backup are chosen too.'

/** Undefined where the size can't be had and the provider's commands can do without. @throws BackupError `refused` */
async function needOf(options: PlanOptions, policy: BackupPolicy, desk: Desk): Promise<Need | undefined> {
  const { provider, rpo, rto } = options
  const { rpo_seconds: rpoOfPolicy, rto_seconds: rtoByScenario } = policy.objectives
  const rtoSeconds = rto ?? rtoByScenario[LOST] ?? rtoByScenario['default']
  if (rtoSeconds === undefined) throw new BackupError('refused', 'the policy has no RTO for a lost database: say --rto')
  const sizeBytes = options.size ?? (await measure(desk))
  if (sizeBytes === undefined && provider !== undefined) return undefined
  if (sizeBytes === undefined)
    throw new BackupError(
      'refused',
      'the size of the database is needed: say --size, or --database-url to have it measured',
    )
  return { sizeBytes, rpoSeconds: rpo ?? rpoOfPolicy, rtoSeconds, isManaged: provider !== undefined }
}

async function measure({ store }: Desk): Promise<number | undefined> {
  if (store === undefined) return undefined
  const client = await connectToStore(store, 'backup plan')
  try {
    return await databaseBytes(client)
  } finally {
    await client.end()
  }
}

interface Plan {
  need: { size_bytes: number; rpo_seconds: number; rto_seconds: number; is_managed: boolean }
  restore_seconds: Choice['restoreSeconds']
  kinds: { type: string; why: string; set_up: readonly string[] }[]
  /** Members of the policy, which replace what it has. */
  policy: Pick<BackupPolicy, 'schedules' | 'objectives'>
}

function planOf(need: Need, { objectives }: BackupPolicy): Plan {
  const { sizeBytes: size_bytes, rpoSeconds: rpo_seconds, rtoSeconds: rto_seconds, isManaged: is_managed } = need
  const { parts, schedules, restoreSeconds } = chooseBackups(need)
  return {
    need: { size_bytes, rpo_seconds, rto_seconds, is_managed },
    restore_seconds: restoreSeconds,
    kinds: parts.map(({ type, why, setUp }) => ({ type, why, set_up: setUp })),
    policy: {
      schedules: [...schedules, { name: 'prune', cron: '0 5 * * *', task: 'prune' }],
      // The policy knows no objective of less than a second.
      objectives: {
        rpo_seconds: Math.max(rpo_seconds, 1),
        rto_seconds: { ...objectives.rto_seconds, [LOST]: Math.max(rto_seconds, 1) },
      },
    },
  }
}

function reasonsOf({ need, restore_seconds: { rows, files }, kinds }: Plan): string {
  return [
    `${showBytes(need.size_bytes)}; at most ${showSeconds(need.rpo_seconds)} may be lost; back within ${showSeconds(need.rto_seconds)}.`,
    `About ${showSeconds(rows)} to restore rows, at ${showBytes(RATES.rows)} a second; ${showSeconds(files)} to copy files, at ${showBytes(RATES.files)}.`,
    'Half of the time is for noticing and deciding. annals dr drill measures yours.',
    ...kinds.flatMap(({ type, why, set_up: setUp }) => [
      '',
      `${type}: ${why}.`,
      ...setUp.map((each) => `  set up ${each}`),
    ]),
  ].join('\n')
}

const comment = (text: string): string => text.replaceAll(/^/gm, '# ').replaceAll(/ +$/gm, '')

/** It goes into a line for a shell. */
function instanceArgument(text: string): string {
  if (/^[a-z][a-z0-9-]{0,62}$/i.test(text)) return text
  throw new InvalidArgumentError('It is made of letters, digits and hyphens.')
}
