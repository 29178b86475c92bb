import { Command } from 'commander'
import { VERSION } from '../version.ts'
import { backupCommand } from './backup.ts'
import { drCommand } from './dr.ts'
import { exportCommand } from './export.ts'
import { importCommand } from './import.ts'
import { migrateCommand } from './migrate.ts'
import { openapiCommand } from './openapi.ts'
import { proveCommand } from './prove.ts'
import { restoreCommand } from './restore.ts'
import { schedulesCommand } from './schedules.ts'
import { serveCommand } from './serve.ts'
import { tailCommand } from './tail.ts'
import { throwInsteadOfExit } from './throw-instead-of-exit.ts'
import { verifyCommand } from './verify.ts'
import { walCommand } from './wal.ts'

/** All commands. Parsing throws CommanderError instead of ending the process, for help and version too. */
export function buildProgram(): Command {
  const program = new Command('annals')
    .description('An event store with an HTTP API and an operations desk, on PostgreSQL')
    .version(VERSION)
    .enablePositionalOptions()
    .showHelpAfterError('(annals help lists the commands)')
  for (const command of [
    serveCommand(),
    importCommand(),
    exportCommand(),
    tailCommand(),
    proveCommand(),
    verifyCommand(),
    migrateCommand(),
    backupCommand(),
    restoreCommand(),
    schedulesCommand(),
    walCommand(),
    drCommand(),
    openapiCommand(),
  ]) {
    program.addCommand(command)
  }
  throwInsteadOfExit(program)
  return program
}
