import type { Command } from 'commander'

/**
 * Parsing throws CommanderError instead of ending the process, for help and version too; and what is wrong is followed by
 * where help is, at `path` and all commands below it.
 */
export function throwInsteadOfExit(command: Command, path = command.name()): void {
  const below = command.commands.map((each) => each.name())
  command.exitOverride()
  command.showHelpAfterError(
    below.length === 0
      ? `(${path} --help tells more)`
      : `(${path} --help tells more; below it are: ${below.join(', ')})`,
  )
  // Commander would answer `help nonsense` with all of the help, and without a word on what is wrong.
  command.addHelpText('before', ({ error }) => {
    const [word, name] = command.args
    if (error && word === 'help' && name !== undefined) command.error(`error: unknown command '${name}'`)
    return ''
  })
  for (const each of command.commands) throwInsteadOfExit(each, `${path} ${each.name()}`)
}
