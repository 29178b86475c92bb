// annals dr: how things stand, and drills that really happen to clusters of their own.

import { Argument, Command } from 'commander'
import { openDestination } from '../backup/destinations/destinations.ts'
import { assess } from '../backup/drills/assess.ts'
import { type Drilled, runDrill } from '../backup/drills/run-drill.ts'
import { SCENARIOS } from '../backup/drills/scenarios.ts'
import { readPolicy } from '../backup/policy/read-policy.ts'
import { BACKUP_EXIT_CODES, type DeskOptions, withFiles, withStore } from './backup-context.ts'
import { onDesk, onDeskInJson, print } from './backup-options.ts'
import { commandSettings } from './target-database.ts'

/** `annals dr assess|drill`. Errors carry the exit code. */
export function drCommand(): Command {
  return new Command('dr')
    .description('disaster recovery: see how things stand, and practise on clusters of their own')
    .addHelpText('after', BACKUP_EXIT_CODES)
    .addCommand(assessCommand())
    .addCommand(drillCommand())
}

function assessCommand(): Command {
  return onDeskInJson(
    'assess',
    'print as JSON what is known about disk, load, PostgreSQL, backups and objectives',
  ).action((options: DeskOptions) =>
    withFiles(options, async (desk) => {
      const settings = commandSettings()
      const report = await assess(desk, { settings, policy: readPolicy(settings.BACKUP_POLICY_FILE) })
      process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    }),
  )
}

function drillCommand(): Command {
  return onDesk('drill', 'run a scenario; one that was broken off is taken up again')
    .addArgument(
      new Argument('<scenario>', 'what happens to the cluster of the drill').choices(SCENARIOS.map(({ name }) => name)),
    )
    .option('--offsite <place>', 'that lost-database rebuilds from; BACKUP_OFFSITE when absent')
    .option('--from-binaries <folder>', 'of an older PostgreSQL, with bin and lib in it, for upgrade')
    .addHelpText('after', `\n${SCENARIOS.map(({ name, summary }) => `${name}: ${summary}`).join('\n')}`)
    .action((scenario: string, options: DeskOptions & { offsite?: string; fromBinaries?: string }) =>
      withStore(options, async (desk, context) => {
        const settings = commandSettings()
        const { BACKUP_POLICY_FILE: file, DRILL_DIR: root } = settings
        const offsite = options.offsite ?? settings.BACKUP_OFFSITE
        const drilled = await runDrill(
          {
            ...{ scenario, desk, root, policy: readPolicy(file) },
            offsite: offsite === undefined ? undefined : openDestination(offsite, settings),
            options: options.fromBinaries === undefined ? {} : { fromBinaries: options.fromBinaries },
          },
          context,
        )
        print(options, drilled, () => describe(drilled))
      }),
    )
}

function describe({ scenario, backup, place, report, ...measured }: Drilled): string {
  const { rto_seconds: rto, rto_objective_seconds: objective, is_rto_met: isMet } = measured
  const words = `recovered in ${rto} s; the objective of ${objective} s is ${isMet ? 'met' : 'missed'}`
  return `${scenario}: ${words}\nwith ${backup} in ${place}\n${report}`
}
