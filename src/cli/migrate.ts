// annals migrate: what is applied to a database, and applying, taking back and mending it.

import { Command, InvalidArgumentError, Option } from 'commander'
import { createMigration, MIGRATIONS_FOLDER } from '../db/migrations/migration-files.ts'
import type { MigrationStatus } from '../db/migrations/migration-ledger.ts'
import { type AppliedMigration, type Migrator, refuseUnusable } from '../db/migrations/migrator.ts'
import { CommandError } from './command-error.ts'
import { asCommandError, EXIT, type MigrateOptions, type Output, withMigrator } from './migration-database.ts'
import { describeStatus, describeVerification, summary } from './migration-report.ts'
import { databaseUrlOption, schemaOption } from './store-options.ts'

const EXIT_CODES = `
Exit codes: 0 done, or nothing to do; 2 the database and the migrations differ; 3 another process migrates; 4 failed.
Without --database-url, DATABASE_DIRECT_URL and DATABASE_URL it is the embedded PostgreSQL below DATA_DIR.`

const TERMINAL: Output = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
}

/** `annals migrate status|up|down|new|verify|baseline|repair`. Errors carry the exit code. */
export function migrateCommand(output = TERMINAL): Command {
  return new Command('migrate')
    .description('show, apply, take back and check the migrations of a database')
    .addHelpText('after', EXIT_CODES)
    .addCommand(statusCommand(output))
    .addCommand(upCommand(output))
    .addCommand(downCommand(output))
    .addCommand(newCommand(output))
    .addCommand(verifyCommand(output))
    .addCommand(baselineCommand(output))
    .addCommand(repairCommand(output))
}

function statusCommand(output: Output): Command {
  return onDatabase('status', 'show which migrations are applied').action((options: MigrateOptions) =>
    withMigrator(options, output, async (migrator) => {
      const status = await migrator.status()
      print(output, options, status, () => describeStatus(status))
      refuseUnusable(status)
    }),
  )
}

function upCommand(output: Output): Command {
  return onDatabase('up', 'apply what is pending')
    .option('--to <version>', 'last version to apply', versionArgument)
    .option('--dry-run', 'print what is pending, try it, and roll it back; takes the same locks', false)
    .action((options: MigrateOptions & { to?: number; dryRun: boolean }) =>
      withMigrator(options, output, async (migrator) => {
        const to = options.to === undefined ? {} : { to: options.to }
        const applied = await migrator.up({ ...to, dryRun: options.dryRun })
        print(output, options, { applied, dry_run: options.dryRun }, () =>
          options.dryRun ? describeDryRun(migrator, applied) : summary(applied, 'applied'),
        )
      }),
    )
}

function downCommand(output: Output): Command {
  return onDatabase('down', 'take back the last migration')
    .option('--to <version>', 'take back all above this version', versionArgument)
    .option('--i-will-lose-data', 'also where events or what belongs to them is destroyed', false)
    .action((options: MigrateOptions & { to?: number; iWillLoseData: boolean }) =>
      withMigrator(options, output, async (migrator) => {
        const to = options.to === undefined ? {} : { to: options.to }
        const reverted = await migrator.down({ ...to, mayLoseData: options.iWillLoseData })
        print(output, options, { reverted }, () => summary(reverted, 'taken back'))
      }),
    )
}

function newCommand(output: Output): Command {
  // In words: the path is another one on every machine, and the reference is generated from the help.
  const folder = new Option('--folder <path>', 'folder of the migrations')
  folder.default(MIGRATIONS_FOLDER, 'that of this version')
  return new Command('new')
    .description('write the next migration file, to be filled in')
    .argument('<name>', 'what it does, such as add_user_context')
    .addOption(folder)
    .action((name: string, options: { folder: string }) => {
      try {
        output.out(`${createMigration(options.folder, name)}\n`)
      } catch (error) {
        throw asCommandError(error)
      }
    })
}

function verifyCommand(output: Output): Command {
  return onDatabase(
    'verify',
    'compare checksums, and the objects of the schema with those that should be there',
  ).action((options: MigrateOptions) =>
    withMigrator(options, output, async (migrator) => {
      const found = await migrator.verify()
      print(output, options, found, () => describeVerification(found))
      refuseUnusable(found.status)
      if (!found.isSound) throw new CommandError('the database is not as the migrations make it', EXIT.drift)
    }),
  )
}

function baselineCommand(output: Output): Command {
  return onDatabase('baseline', 'write migrations down as applied without running them, for a schema made otherwise')
    .argument('<version>', 'last version that the schema corresponds to', versionArgument)
    .action((version: number, options: MigrateOptions) =>
      withMigrator(options, output, async (migrator) => {
        const migrations = await migrator.baseline(version)
        print(output, options, { baseline: version, migrations }, () => `migrations up to ${version} count as applied`)
      }),
    )
}

function repairCommand(output: Output): Command {
  return onDatabase('repair', 'accept that an applied migration was changed, or that its file is gone')
    .requiredOption('--accept <name>', 'the migration, by name or version')
    .requiredOption('--reason <text>', 'why; the ledger keeps it')
    .action((options: MigrateOptions & { accept: string; reason: string }) =>
      withMigrator(options, output, async (migrator) => {
        const { name, state } = await migrator.repair(options)
        print(output, options, { accepted: name, was: state }, () => `accepted: ${name} was ${state}`)
      }),
    )
}

const onDatabase = (name: string, description: string): Command =>
  new Command(name)
    .description(description)
    .addOption(databaseUrlOption())
    .addOption(schemaOption())
    .option('--folder <path>', 'migrations other than those of this version')
    .option('--json', 'print the result as JSON, and progress on standard error')

function versionArgument(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('A version is a whole number, such as 3.')
}

function print(
  { out }: Output,
  options: MigrateOptions,
  result: object | MigrationStatus,
  describe: () => string,
): void {
  out(`${options.json ? JSON.stringify(result, null, 2) : describe()}\n`)
}

function describeDryRun(migrator: Migrator, tried: AppliedMigration[]): string {
  const parts = tried.map(({ version, name, duration_ms: ms }) => {
    const outcome =
      ms === null ? 'not tried: it needs to run outside of a transaction' : `tried in ${ms} ms, rolled back`
    return `-- ${name} (${outcome})\n${migrator.files.find((file) => file.version === version)?.text ?? ''}`
  })
  return [...parts, tried.length === 0 ? 'nothing is pending' : `${tried.length} pending; nothing was changed`].join(
    '\n',
  )
}
