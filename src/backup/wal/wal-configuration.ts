// The part of postgresql.conf that archives the log, and the command that brings it back.

import { isAbsolute } from 'node:path'
import { NOT_THERE, WalError } from './archive-file.ts'

export interface WalPaths {
  /** How this program is started: `['/usr/bin/node', '/usr/lib/node_modules/annals/dist/main.js']`. */
  program: readonly string[]
  /** Absolute. */
  archive: string
}

/** How to start Annals once more, from wherever. */
export const thisProgram = (): string[] => [process.execPath, ...process.execArgv, process.argv[1] ?? '']

/** @throws WalError for a folder that would be looked for in another place by the server */
export function walConfiguration(paths: WalPaths): string {
  return `# PostgreSQL's log, archived by Annals for recovery to any moment. Restart the server after adding this.
wal_level = replica
archive_mode = on
archive_command = ${quoteSetting(archiveCommand(paths))}
# A segment is archived when it is full; at the latest after this long. It is how much may be lost with the server.
archive_timeout = 60s
# A replication slot that nobody reads must not fill the disk of the server.
max_slot_wal_keep_size = 10GB
# For a recovery by hand, beside recovery.signal in the new data folder:
#restore_command = ${quoteSetting(fetchCommand(paths))}
`
}

/** Of a program that is not there, or was killed, PostgreSQL would not count that it failed. */
const archiveCommand = (paths: WalPaths): string => `${command(paths, ['wal', 'archive', '%p', '--to'])} || exit 1`

/** For `restore_command`. */
export const fetchCommand = (paths: WalPaths): string =>
  onlyEndsWith(NOT_THERE, command(paths, ['wal', 'fetch', '%f', '%p', '--from']))

/**
 * A restore_command for which the log ends where `command` exits with `code`. PostgreSQL would take any failure up to 125
 * for that, of a program that is not there too, and recover to less than there is; now those stop the recovery.
 */
export const onlyEndsWith = (code: number, command: string): string =>
  `${command} || { test $? -eq ${code} && exit 1; exit 200; }`

// PostgreSQL hands the line to a shell and puts the names in, which are letters and digits. All else is quoted here.
function command({ program, archive }: WalPaths, words: string[]): string {
  if (!isAbsolute(archive)) throw new WalError(`the folder for the log has to be an absolute path: ${archive}`, 1)
  return settingCommand([...program, ...words, archive])
}

/** A program with its arguments as the settings for commands take it. */
export function settingCommand(words: readonly string[]): string {
  const quote = (word: string) =>
    /^%[fp]$/.test(word) ? `"${word}"` : `'${word.replaceAll("'", `'\\''`).replaceAll('%', '%%')}'`
  return words.map((word) => (/^[\w/.=-]+$/.test(word) ? word : quote(word))).join(' ')
}

const quoteSetting = (text: string): string => `'${text.replaceAll("'", "''")}'`
