// annals backup: make backups, see them, and prove that they are worth something.

import { Command, InvalidArgumentError, Option } from 'commander'
import { readCatalogue, readJobs } from '../backup/catalogue.ts'
import { createBackup } from '../backup/create-backup.ts'
import { resolveId } from '../backup/destinations/latest.ts'
import type { CreateOptions, VerifyLevel } from '../backup/driver.ts'
import { DRIVERS } from '../backup/drivers.ts'
import { testBackup } from '../backup/test-backup.ts'
import { verifyBackup } from '../backup/verify-backup.ts'
import { attestCommand, describeAttested, withdrawCommand } from './backup-attest.ts'
import { BACKUP_EXIT_CODES, type DeskOptions, withFiles, withStore } from './backup-context.ts'
import { onDesk, print } from './backup-options.ts'
import { planCommand } from './backup-plan.ts'
import { pruneCommand } from './backup-prune.ts'
import {
  describeBackup,
  describeCatalogue,
  describeFound,
  describeJobs,
  describeManifest,
  describeTest,
  describeTypes,
} from './backup-report.ts'

/** `annals backup create|list|show|types|verify|test|jobs|prune|plan|attest|withdraw`. Errors carry the exit code. */
export function backupCommand(): Command {
  return new Command('backup')
    .description('make backups of a store, list them, and prove that they can be restored')
    .addHelpText('after', BACKUP_EXIT_CODES)
    .addCommand(createCommand())
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(typesCommand())
    .addCommand(verifyCommand())
    .addCommand(testCommand())
    .addCommand(jobsCommand())
    .addCommand(pruneCommand())
    .addCommand(planCommand())
    .addCommand(attestCommand())
    .addCommand(withdrawCommand())
}

function createCommand(): Command {
  return onDesk('create', 'make a backup')
    .addOption(typeOption())
    .option('--since <id>', 'only what came after this backup, where the type can do that')
    .addOption(new Option('--format <format>', 'of a dump').choices(['custom', 'plain']))
    .option('--gzip', 'compress a plain dump')
    .option('--tables <names>', 'of a backup of type tables, separated by commas', (text: string) => text.split(','))
    .addOption(new Option('--kind <kind>', 'of pgBackRest; full when absent').choices(['full', 'diff', 'incr']))
    .action(async (options: DeskOptions & CreateOptions & { type: string; since?: string }) => {
      const { type, since, format, gzip, tables, kind } = options
      const request = {
        type,
        ...(since !== undefined && { since }),
        options: { ...(format && { format }), ...(gzip && { gzip }), ...(tables && { tables }), ...(kind && { kind }) },
      }
      await withStore(options, async (desk, context) => {
        const manifest = await createBackup(desk, request, context)
        print(options, manifest, () => describeManifest(manifest))
      })
    })
}

function listCommand(): Command {
  return onDesk('list', 'list the backups that are known, the newest first').action((options: DeskOptions) =>
    withFiles(options, async (desk, { log }) => {
      const { entries, attested, faults } = await readCatalogue(desk)
      for (const fault of faults) log(`note: ${fault}`)
      print(options, { backups: entries, attested, faults }, () =>
        [describeCatalogue(entries), ...(attested.length === 0 ? [] : [describeAttested(attested)])].join('\n\n'),
      )
    }),
  )
}

function showCommand(): Command {
  return onDesk('show', 'show one backup')
    .argument('<id>', ID)
    .action((given: string, options: DeskOptions) =>
      withFiles(options, async (desk) => {
        const id = await resolveId(desk.destination, given)
        const attested = (await readCatalogue(desk)).attested.filter((each) => each.id === id)
        if (attested[0] !== undefined) return print(options, attested[0], () => describeAttested(attested))
        const { manifest } = await desk.destination.find(id)
        const entry = (await readCatalogue(desk)).entries.find((each) => each.id === id)
        print(options, { ...entry, manifest }, () => describeBackup(manifest, entry))
      }),
    )
}

function typesCommand(): Command {
  return new Command('types')
    .description('list the types of backup, and what each is good for')
    .option('--json', 'print the result as JSON')
    .action((options: { json?: boolean }) => {
      const types = DRIVERS.map(({ type, about }) => ({ type, ...about }))
      print(options, { types }, () => describeTypes(types))
    })
}

function verifyCommand(): Command {
  return onDesk('verify', 'check a backup')
    .argument('<id>', ID)
    .option('--level <level>', LEVELS, levelArgument, 1)
    .action((given: string, options: DeskOptions & { level: VerifyLevel }) =>
      withFiles(options, async (desk, context) => {
        const id = await resolveId(desk.destination, given)
        const verified = await verifyBackup(desk, { id, level: options.level }, context)
        const found = verified.found === undefined ? '' : `: ${describeFound(verified.found)}`
        print(options, verified, () => `${id} passed level ${verified.level}${found}`)
      }),
    )
}

function testCommand(): Command {
  return onDesk('test', 'the drill: restore a backup into a scratch database, compare it, drop it, and write that down')
    .argument('[id]', 'default: the newest that has passed a check')
    .action((id: string | undefined, options: DeskOptions) =>
      withStore(options, async (desk, context) => {
        const tested = await testBackup(desk, id, context)
        print(options, tested, () => describeTest(tested))
      }),
    )
}

function jobsCommand(): Command {
  return onDesk('jobs', 'list what was done with backups, the newest first')
    .option('--id <id>', 'only what concerns this backup')
    .action((options: DeskOptions & { id?: string }) =>
      withStore(options, async (desk) => {
        const jobs = await readJobs(desk, options.id === undefined ? {} : { backupId: options.id })
        print(options, { jobs }, () => describeJobs(jobs))
      }),
    )
}

const ID = 'of the backup, or latest: the newest of a store'

const LEVELS =
  '0 files and hashes; 1 read to the end; 2 restored into a scratch database; 3 and compared row by row with the live store'

const typeOption = (): Option =>
  new Option('--type <type>', 'what kind; `annals backup types` tells')
    .default('archive')
    .choices(DRIVERS.map(({ type }) => type))

function levelArgument(text: string): VerifyLevel {
  if (/^[0-3]$/.test(text)) return Number(text) as VerifyLevel
  throw new InvalidArgumentError('A level is 0, 1, 2 or 3.')
}
