// docs/reference/cli.md: the help of every command, as `--help` prints it.

import type { Command } from 'commander'
import { buildProgram } from '../../src/cli/program.ts'

const COLUMNS = 100

/** The command and all below it, in the order in which the help lists them. */
function sections(command: Command, parents: string[]): string[] {
  let help = ''
  command.configureOutput({
    getOutHelpWidth: () => COLUMNS,
    getOutHasColors: () => false,
    writeOut: (text) => {
      help += text
    },
  })
  // Not helpInformation(), which leaves out what stands after it: the exit codes.
  command.outputHelp()
  const path = [...parents, command.name()]
  const heading = `${'#'.repeat(Math.min(path.length + 1, 4))} ${path.join(' ')}`
  const own = `${heading}\n\n\`\`\`\n${help.trimEnd()}\n\`\`\`\n`
  return [own, ...command.commands.flatMap((each) => sections(each, path))]
}

export const cliReference = async () => `# Command line

\`npx annals <command>\` in the project's folder, \`annals <command>\` where the package is installed.

${sections(await buildProgram(), []).join('\n')}`
