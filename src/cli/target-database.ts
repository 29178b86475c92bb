// Which database a command for operators means: the one that it is given, or that of the settings, or the embedded one.

import { loadSettings, withEnvFile } from '../config.ts'
import { checkDatabaseUrl } from '../db/connections/database-url.ts'
import { connectToRunningEmbedded, startEmbeddedPostgres } from '../db/embedded/embedded-postgres.ts'
import type { Settings } from '../settings.ts'
import { BAD_USAGE, CommandError } from './command-error.ts'

/** Options that name a database. */
export interface TargetOptions {
  databaseUrl?: string
  /** Of a restore; a Redis where the backup is one of that. */
  into?: string
}

export interface TargetDatabase {
  url: string
  settings: Readonly<Settings>
  /** To be called when the command is done. */
  stop(): Promise<void>
}

/** The settings of the environment and of `.env`. */
export const commandSettings = (): Readonly<Settings> => loadSettings(withEnvFile(process.env, process.cwd())).settings

/**
 * The URL that the options name, else the settings; undefined for the embedded database.
 * @throws CommandError for an option, SettingsError for a setting
 */
export function chosenUrl(options: TargetOptions, settings: Readonly<Settings>): string | undefined {
  const given = [
    ['--into', options.into],
    ['--database-url', options.databaseUrl],
    ['DATABASE_DIRECT_URL', settings.DATABASE_DIRECT_URL],
    ['DATABASE_URL', settings.DATABASE_URL],
  ] as const
  const [name, url] = given.find(([, url]) => url !== undefined) ?? []
  if (name === undefined || url === undefined || (name === '--into' && /^rediss?:/.test(url))) return url
  try {
    checkDatabaseUrl(name, url)
  } catch (error) {
    // Not as an error of the parser, which would show the URL, and a password in it.
    if (name.startsWith('--')) throw new CommandError((error as Error).message, BAD_USAGE, error)
    throw error
  }
  return url
}

/** The embedded database is that of a running service, else it is started for the time being. */
export async function openTargetDatabase(
  options: TargetOptions,
  tell: (line: string) => void,
): Promise<TargetDatabase> {
  const settings = commandSettings()
  const url = chosenUrl(options, settings)
  if (url !== undefined) return { url, settings, stop: async () => {} }
  const running = connectToRunningEmbedded(settings.DATA_DIR)
  if (running !== undefined) return { url: running.url, settings, stop: async () => {} }
  const log = { info: tell, warn: tell, error: tell }
  const server = await startEmbeddedPostgres({ dataDir: settings.DATA_DIR, log, mayMoveData: true })
  return { url: server.url, settings, stop: () => server.stop() }
}
