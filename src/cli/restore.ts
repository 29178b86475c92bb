// annals restore: a backup back into a database.

import { Command, Option } from 'commander'
import { restoreInto } from '../backup/restore-backup.ts'
import { BACKUP_EXIT_CODES, type DeskOptions, withFiles } from './backup-context.ts'
import { describeManifest } from './backup-report.ts'

/** `annals restore ID --into URL`. */
export function restoreCommand(): Command {
  return new Command('restore')
    .description('put a backup back into a database, check first and compare afterwards')
    .argument('<id>')
    .requiredOption('--into <url>', 'the database itself, not a pooler')
    .option('--schema <name>', 'schema of the store; DATABASE_SCHEMA when absent')
    .addOption(new Option('--mode <mode>', 'how').choices(['into']).default('into'))
    .option('--dir <folder>', 'where backups are; BACKUP_DIR when absent')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', BACKUP_EXIT_CODES)
    .action((id: string, options: DeskOptions & { into: string }) =>
      withFiles({ ...options, databaseUrl: options.into }, async ({ destination, store }, context) => {
        if (store === undefined) return
        const manifest = await restoreInto({ id, destination, target: store }, context)
        const text = options.json
          ? JSON.stringify(manifest, null, 2)
          : `restored and compared: ${describeManifest(manifest)}`
        process.stdout.write(`${text}\n`)
      }),
    )
}
