import { Command } from 'commander'
import { VERSION } from '../version.ts'
import { throwInsteadOfExit } from './throw-instead-of-exit.ts'

// In the order of the help. Each is loaded when it is needed: loading all takes longer than a file takes to archive, and
// a tenth of what the service takes to start.
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./serve.ts')).serveCommand(),
  import: async () => (await import('./import.ts')).importCommand(),
  export: async () => (await import('./export.ts')).exportCommand(),
  tail: async () => (await import('./tail.ts')).tailCommand(),
  prove: async () => (await import('./prove.ts')).proveCommand(),
  verify: async () => (await import('./verify.ts')).verifyCommand(),
  migrate: async () => (await import('./migrate.ts')).migrateCommand(),
  backup: async () => (await import('./backup.ts')).backupCommand(),
  restore: async () => (await import('./restore.ts')).restoreCommand(),
  schedules: async () => (await import('./schedules.ts')).schedulesCommand(),
  wal: async () => (await import('./wal.ts')).walCommand(),
  dr: async () => (await import('./dr.ts')).drCommand(),
  config: async () => (await import('./config.ts')).configCommand(),
  openapi: async () => (await import('./openapi.ts')).openapiCommand(),
}

const EXIT_CODES = `
Exit codes: 0 done; 1 failed; 64 the command line is wrong. Commands with others say so in their help.`

/**
 * The program with the command of this name, or with all of them where there is no such command (so that the help and
 * suggestions know them). Parsing throws CommanderError instead of ending the process, for help and version too.
 */
export async function buildProgram(name?: string): Promise<Command> {
  const program = new Command('annals')
    .description('An event store with an HTTP API and an operations desk, on PostgreSQL')
    .version(VERSION)
    .enablePositionalOptions()
    .addHelpText('after', EXIT_CODES)
  const one = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  for (const load of one === undefined ? Object.values(COMMANDS) : [one]) program.addCommand(await load())
  throwInsteadOfExit(program)
  program.showHelpAfterError('(annals help lists the commands)')
  return program
}
