// What the commands for backups take and print alike.

import { Command } from 'commander'
import { databaseUrlOption, schemaOption } from './store-options.ts'

/** A command that works on a store and a place for backups, and prints in words or as JSON. */
export const onDesk = (name: string, description: string): Command => inWordsToo(onDeskInJson(name, description))

/** The same for what is printed as JSON in any case. */
export const onDeskInJson = (name: string, description: string): Command =>
  withStoreOptions(
    new Command(name)
      .description(description)
      .option(
        '--dir <place>',
        'where backups are: a folder, s3://bucket/prefix or restic:REPOSITORY; BACKUP_DIR when absent',
      ),
  )

/** A command that works on a store, and prints in words or as JSON. */
export const onStore = (name: string, description: string): Command =>
  inWordsToo(withStoreOptions(new Command(name).description(description)))

const withStoreOptions = (command: Command): Command => command.addOption(databaseUrlOption()).addOption(schemaOption())

const inWordsToo = (command: Command): Command => command.option('--json', 'print the result as JSON')

/** As JSON where that was asked for, else in words. */
export function print(options: { json?: boolean }, result: object, describe: () => string): void {
  process.stdout.write(`${options.json ? JSON.stringify(result, null, 2) : describe()}\n`)
}
