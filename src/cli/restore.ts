// annals restore: a backup back into a database, and what becomes of what was there.

import { Command, InvalidArgumentError, Option } from 'commander'
import { BackupError } from '../backup/backup-error.ts'
import { resolveId } from '../backup/destinations/latest.ts'
import { driverOf } from '../backup/drivers.ts'
import type { Manifest } from '../backup/manifest.ts'
import { confirmRestore, listKeptStores, revertRestore } from '../backup/restore/kept-stores.ts'
import { type RestoreMode, restoreBackup } from '../backup/restore/restore-backup.ts'
import { TABLE_GROUPS, type TableGroup } from '../backup/table-groups.ts'
import { BACKUP_EXIT_CODES, type DeskOptions, withFiles, withStore } from './backup-context.ts'
import { onStore } from './backup-options.ts'
import { describeManifest } from './backup-report.ts'
import { newEpochCommand, pitrCommand } from './restore-pitr.ts'
import { schemaOption } from './store-options.ts'
import { table } from './table.ts'

const MODES = `
Modes:
  into     a database without a store, or with an empty one; --force empties it first
  replace  a store in use: writers are answered 503 meanwhile, readers go on; what was in use is kept until
           \`annals restore confirm\`
  events   the same for the events alone; snapshots and consumers stay, and are brought back to the events' head
  tables   the same for --tables, some of ${TABLE_GROUPS.join(', ')}
  stream   one stream into a table beside the events, compared with the stream in use

Other modes than into are for archives, and for dumps that hold what is asked for: those are restored into a scratch
database first, for which the role needs CREATEDB.`

interface RestoreOptions extends DeskOptions {
  mode: RestoreMode['mode']
  tables?: TableGroup[]
  force?: true
}

/** `annals restore ID --into URL`, and `annals restore pitr|new-epoch|kept|confirm|revert`. */
export function restoreCommand(): Command {
  return (
    new Command('restore')
      .description('put a backup back: checked before the first write, compared after the last')
      // Else options of the commands below would be taken for its own.
      .enablePositionalOptions()
      .argument('<id>', 'of the backup, or latest: the newest of a store')
      .argument('[stream]', 'with --mode stream')
      .option('--into <url>', 'the database itself, not a pooler; an empty Redis for a backup of one')
      .addOption(schemaOption())
      .addOption(
        new Option('--mode <mode>', 'how').choices(['into', 'replace', 'events', 'tables', 'stream']).default('into'),
      )
      .option('--tables <names>', 'separated by commas', tablesArgument)
      .option('--force', 'lose what the store holds')
      .option('--dir <folder>', 'where backups are; BACKUP_DIR when absent')
      .option('--json', 'print the result as JSON')
      .addHelpText('after', MODES + BACKUP_EXIT_CODES)
      .action((given: string, stream: string | undefined, options: RestoreOptions) => {
        const { into } = options
        return withFiles(options, async ({ destination, store }, context) => {
          if (into === undefined) throw new BackupError('refused', 'say with --into which database it goes into')
          const target = store as NonNullable<typeof store>
          const id = await resolveId(destination, given)
          const { manifest, outcome } = await restoreBackup(
            { id, destination, target, how: howOf(options, stream) },
            context,
          )
          const lines = Object.entries(outcome).map(
            ([name, value]) => `  ${name.replaceAll('_', ' ')}: ${[value].flat().join('; ')}`,
          )
          print(
            options,
            { manifest, outcome },
            [`${doneWith(manifest)}: ${describeManifest(manifest)}`, ...lines].join('\n'),
          )
        })
      })
      .addCommand(pitrCommand())
      .addCommand(newEpochCommand())
      .addCommand(keptCommand())
      .addCommand(confirmCommand())
      .addCommand(revertCommand())
  )
}

/** What lies in another server has its own checksums, and nothing to be compared with. */
const doneWith = ({ type }: Manifest): string =>
  driverOf(type).outside === undefined ? 'restored and compared' : 'restored'

function keptCommand(): Command {
  return onStore('kept', 'list what restores have put aside').action((options: DeskOptions) =>
    withStore(options, async ({ store }, context) => {
      const kept = await listKeptStores(store as NonNullable<typeof store>, context)
      const rows = kept.map(({ name, reason, tables }) => [name, reason, tables.join(' ')])
      print(options, { kept }, kept.length === 0 ? 'nothing is kept' : table(['schema', 'kept from', 'tables'], rows))
    }),
  )
}

function confirmCommand(): Command {
  return onStore('confirm', 'drop what restores have put aside')
    .argument('[schema]', 'only this one of `annals restore kept`')
    .action((name: string | undefined, options: DeskOptions) =>
      withStore(options, async ({ store }, context) => {
        const dropped = await confirmRestore(store as NonNullable<typeof store>, name, context)
        print(options, { dropped }, `dropped: ${dropped.join(', ')}`)
      }),
    )
}

function revertCommand(): Command {
  return onStore('revert', 'put back into use what the last restore has put aside')
    .argument('[schema]', 'another one of `annals restore kept`')
    .action((name: string | undefined, options: DeskOptions) =>
      withStore(options, async ({ store }, context) => {
        const done = await revertRestore(store as NonNullable<typeof store>, name, context)
        print(options, done, `${done.reverted} is in use again; what was in use is kept as ${done.kept}`)
      }),
    )
}

function howOf({ mode, force, tables }: RestoreOptions, stream: string | undefined): RestoreMode {
  if ((stream !== undefined) !== (mode === 'stream')) {
    throw new BackupError('refused', 'a stream is named with --mode stream, and only there')
  }
  if ((tables !== undefined) !== (mode === 'tables')) {
    throw new BackupError('refused', '--tables goes with --mode tables, and only there')
  }
  if (force && mode !== 'into')
    throw new BackupError('refused', '--force is for --mode into; the other modes keep what is there')
  switch (mode) {
    case 'into':
      return { mode, isForced: force ?? false }
    case 'tables':
      return { mode, tables: tables ?? [] }
    case 'stream':
      return { mode, stream: stream ?? '' }
    default:
      return { mode }
  }
}

function tablesArgument(text: string): TableGroup[] {
  const names = text.split(',')
  const unknown = names.find((name) => !(TABLE_GROUPS as string[]).includes(name))
  if (unknown === undefined) return names as TableGroup[]
  throw new InvalidArgumentError(`${unknown} is none of ${TABLE_GROUPS.join(', ')}.`)
}

function print(options: { json?: boolean }, result: object, text: string): void {
  process.stdout.write(`${options.json ? JSON.stringify(result, null, 2) : text}\n`)
}
