import type { Command } from 'commander'

/** Parsing throws CommanderError instead of ending the process, for help and version too. */
export function throwInsteadOfExit(command: Command): void {
  command.exitOverride()
  for (const each of command.commands) throwInsteadOfExit(each)
}
