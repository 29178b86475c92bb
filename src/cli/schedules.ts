// annals schedules: what is backed up when, one of them now, and the same for other schedulers.

import { Argument, Command } from 'commander'
import { BackupError } from '../backup/backup-error.ts'
import { openDestination } from '../backup/destinations/destinations.ts'
import { alertRules } from '../backup/policy/alert-rules.ts'
import type { BackupPolicy, Schedule } from '../backup/policy/policy.ts'
import { policyDocument } from '../backup/policy/policy-document.ts'
import { readPolicy } from '../backup/policy/read-policy.ts'
import { nextDue } from '../backup/schedules/due.ts'
import { cronJobs, crontab, type KubernetesOptions, s3Lifecycle } from '../backup/schedules/for-others.ts'
import { runNow } from '../backup/schedules/run-now.ts'
import { activeSchedules } from '../backup/schedules/run-schedule.ts'
import { BACKUP_EXIT_CODES, type DeskOptions, withStore } from './backup-context.ts'
import { print } from './backup-options.ts'
import { databaseUrlOption, schemaOption } from './store-options.ts'
import { table } from './table.ts'
import { commandSettings } from './target-database.ts'

/** `annals schedules list|run|generate`. Errors carry the exit code. */
export function schedulesCommand(): Command {
  return new Command('schedules')
    .description('what is backed up when, by the policy; a service with SCHEDULES=on does it by itself')
    .addHelpText('after', BACKUP_EXIT_CODES)
    .addCommand(listCommand())
    .addCommand(runCommand())
    .addCommand(generateCommand())
}

/** What the settings say. */
function planned(): { policy: Readonly<BackupPolicy>; active: Schedule[]; offsite: string | undefined } {
  const settings = commandSettings()
  const policy = readPolicy(settings.BACKUP_POLICY_FILE)
  const offsite = settings.BACKUP_OFFSITE
  const place = offsite === undefined ? undefined : openDestination(offsite, settings)
  return { policy, active: activeSchedules({ policy, offsite: place }), offsite }
}

function listCommand(): Command {
  return new Command('list')
    .description('list the schedules, and when each comes next')
    .option('--json', 'print the result as JSON')
    .action((options: { json?: boolean }) => {
      const { policy, active } = planned()
      const { timezone } = policy
      const schedules = active.map((schedule) => ({
        ...schedule,
        next_at: nextDue({ cron: schedule.cron, timezone }, new Date())?.toISOString() ?? null,
      }))
      print(options, { timezone, schedules }, () => describe(timezone, schedules))
    })
}

function describe(timezone: string, schedules: (Schedule & { next_at: string | null })[]): string {
  if (schedules.length === 0) return 'there are no schedules'
  return table(
    ['name', 'cron', 'what', 'next'],
    schedules.map((each) => [
      ...[each.name, `${each.cron} (${timezone})`],
      describeTask(each),
      each.next_at ?? 'never',
    ]),
  )
}

function describeTask(schedule: Schedule): string {
  if (schedule.task === 'prune') return 'prune'
  const { type, incremental, kind, to = 'local' } = schedule
  return [type, ...(incremental ? ['incremental'] : []), ...(kind ? [kind] : []), to].join(', ')
}

function runCommand(): Command {
  return new Command('run')
    .description('do now what a schedule does, for instance from a crontab')
    .argument('<name>', 'as `annals schedules list` shows it')
    .addOption(databaseUrlOption())
    .addOption(schemaOption())
    .action((name: string, options: DeskOptions) =>
      withStore(options, async ({ destination: local, store }, context) => {
        const { policy, active, offsite } = planned()
        const schedule = active.find((each) => each.name === name)
        if (schedule === undefined || store === undefined) {
          const known = active.map((each) => each.name).join(', ')
          throw new BackupError('not_found', `there is no schedule ${name}; those that are: ${known}`)
        }
        const place = offsite === undefined ? undefined : openDestination(offsite, commandSettings())
        await runNow(schedule, { store, policy, local, offsite: place }, context)
        process.stdout.write(`the schedule ${name} is done\n`)
      }),
    )
}

const FORMATS = {
  crontab: ({ policy, active }: Generating) => crontab(policy, active),
  kubernetes: ({ policy, active, options }: Generating) => cronJobs(policy, active, options),
  prometheus: ({ policy }: Generating) => alertRules(policy),
  markdown: ({ policy }: Generating) => `# How this store is backed up\n\n${policyDocument(policy)}`,
  's3-lifecycle': ({ policy, offsite = '' }: Generating) => s3Lifecycle(policy, prefixOf(offsite)),
}

interface Generating extends ReturnType<typeof planned> {
  options: KubernetesOptions
}

/** Of `s3://bucket/prefix`. */
const prefixOf = (address: string): string => {
  const prefix = /^s3:\/\/[^/]+\/(.+?)\/*$/.exec(address)?.[1]
  return prefix === undefined ? '' : `${prefix}/`
}

function generateCommand(): Command {
  return new Command('generate')
    .description('print the policy for other programs')
    .addArgument(new Argument('<format>').choices(Object.keys(FORMATS)))
    .option('--image <image>', 'of Annals, for Kubernetes', 'annals')
    .option('--secret <name>', 'of the Secret with the settings, for Kubernetes', 'annals')
    .option('--claim <name>', 'of the PersistentVolumeClaim for backups, for Kubernetes', 'annals-backups')
    .action((format: keyof typeof FORMATS, options: KubernetesOptions) => {
      process.stdout.write(FORMATS[format]({ ...planned(), options }))
    })
}
