// annals restore pitr: the whole server as it was at a moment, in a new data folder.

import { resolve } from 'node:path'
import { Command, Option } from 'commander'
import { BackupError } from '../backup/backup-error.ts'
import { inOwnTransaction } from '../backup/own-transaction.ts'
import { type Recovered, recover } from '../backup/recovery/recover.ts'
import { type OnTarget, readTarget } from '../backup/recovery/recovery-target.ts'
import { fetchCommand, thisProgram } from '../backup/wal/wal-configuration.ts'
import { renewEpoch } from '../db/backup/write-store.ts'
import { BACKUP_EXIT_CODES, type DeskOptions, withFiles, withStore } from './backup-context.ts'
import { count } from './progress.ts'
import { databaseUrlOption, schemaOption } from './store-options.ts'

interface PitrOptions extends DeskOptions {
  to: string
  wal?: string
  base?: string
  targetTime?: string
  targetLsn?: string
  targetEvent?: string
  onTarget: OnTarget
}

const HELP = `
Without a target all of the log is replayed. The server is started on the new folder where nobody else can reach it,
checked, given a new epoch, and stopped again: start it as you start yours. With pause or shutdown it is left before its
promotion, for you to look at; run \`annals restore new-epoch\` after you have promoted it.
${BACKUP_EXIT_CODES}`

export function pitrCommand(): Command {
  return new Command('pitr')
    .description(
      'recover the whole server to a moment, into a new data folder, from a physical backup or one of pgBackRest and archived WAL',
    )
    .requiredOption('--to <folder>', 'for the new data; absent or empty')
    .option(
      '--wal <folder>',
      'archive of `annals wal archive`; without it there is what pgBackRest archived, or only what a physical backup itself has',
    )
    .option(
      '--base <id>',
      'of a backup of type physical or pgbackrest; default: the newest from before the target, of pgBackRest when there is no --wal',
    )
    .option('--target-time <time>', 'for instance 2026-01-15T09:30:00Z; what was committed then is in')
    .option('--target-lsn <lsn>', 'a place of the log, for instance 0/16B3748; what was committed there is in')
    .option('--target-event <event>', 'stream@version, for instance order-123@57; it is not in, all before it is')
    .addOption(new Option('--on-target <action>', 'then').choices(['promote', 'pause', 'shutdown']).default('promote'))
    .option('--dir <folder>', 'where backups are; BACKUP_DIR when absent')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action(async (options: PitrOptions) => {
      const { targetTime: time, targetLsn: lsn, targetEvent: event } = options
      await withFiles(options, async ({ destination }, context) => {
        const target = readTarget({ ...(time && { time }), ...(lsn && { lsn }), ...(event && { event }) })
        const restoreCommand =
          options.wal === undefined
            ? undefined
            : fetchCommand({ program: thisProgram(), archive: resolve(options.wal) })
        const recovered = await recover(
          {
            ...{ destination, folder: options.to, restoreCommand, target, onTarget: options.onTarget },
            ...(options.base !== undefined && { base: options.base }),
          },
          context,
        )
        const text = options.json ? JSON.stringify(recovered, null, 2) : describe(recovered, options.onTarget)
        process.stdout.write(`${text}\n`)
      })
    })
}

function describe({ base, folder, lsn, time, contents, put_back: putBack }: Recovered, onTarget: OnTarget): string {
  const where = `${folder} is as of ${time ?? 'the backup'} (${lsn ?? 'the end of the log'}), from ${base}`
  if (onTarget !== 'promote') return `${where}; a server started on it will ${onTarget} there`
  const held = `${count(contents.events ?? 0)} events up to position ${count(contents.head ?? 0)}, checked, with a new epoch`
  const again = putBack === 0 ? '' : `; ${count(putBack)} of them are from the event's own transaction, put back`
  return `${where}\n${held}${again}\nMake a physical backup once it runs: those of before do not lead to what comes now.`
}

export function newEpochCommand(): Command {
  return new Command('new-epoch')
    .description('tell readers that a store has another history now, after it was brought back by other means')
    .addOption(databaseUrlOption())
    .addOption(schemaOption())
    .action((options: DeskOptions) =>
      withStore(options, async ({ store }, { signal }) => {
        if (store === undefined) throw new BackupError('refused', 'there is no database')
        const how = { purpose: 'restore', mode: 'write', signal } as const
        await inOwnTransaction(store, how, (client) => renewEpoch(client, store.schema))
        process.stdout.write('the store has a new epoch\n')
      }),
    )
}
