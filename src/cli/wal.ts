// annals wal: what PostgreSQL calls to archive its log and to get it back. Loads little, because it is started for each file.

import { Command } from 'commander'
import { archiveFile, fetchFile } from '../backup/wal/archive-file.ts'
import { thisProgram, walConfiguration } from '../backup/wal/wal-configuration.ts'

const EXIT_CODES = `
Exit codes of archive and conf: 0 done; 1 failed, a wrong command line too. PostgreSQL counts the failure in
pg_stat_archiver, and tries again; above 125 it would not count it.
Exit codes of fetch: 0 done; 100 the archive does not have the file, which PostgreSQL takes for the end of the log; 200
failed, a wrong command line too, which stops a recovery.
Of a program that can't be started PostgreSQL counts no failure, and believes that the log ends: take the commands that
\`annals wal conf\` prints, which make a failure of it.`

/** `annals wal archive|fetch|conf`. Errors carry the exit code. */
export function walCommand(): Command {
  return new Command('wal')
    .description("archive PostgreSQL's log, and bring it back: for archive_command and restore_command")
    .addHelpText('after', EXIT_CODES)
    .addCommand(
      new Command('archive')
        .description('copy a file of the log into the archive: durable, whole, and never over another one')
        .argument('<path>', '%p of archive_command')
        .requiredOption('--to <folder>', 'the archive')
        .action((path: string, { to }: { to: string }) => archiveFile(path, to)),
    )
    .addCommand(
      new Command('fetch')
        .description('copy a file of the log out of the archive')
        .argument('<name>', '%f of restore_command')
        .argument('<path>', '%p of restore_command')
        .requiredOption('--from <folder>', 'the archive')
        .action((name: string, path: string, { from }: { from: string }) => fetchFile(name, path, from)),
    )
    .addCommand(
      new Command('conf')
        .description('print the part of postgresql.conf that archives the log')
        .requiredOption('--to <folder>', 'the archive; an absolute path')
        .action(({ to }: { to: string }) => {
          process.stdout.write(walConfiguration({ program: thisProgram(), archive: to }))
        }),
    )
}
