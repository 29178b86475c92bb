// Which database a command for operators means: the one that it is given, or that of the settings, or the embedded one.

import { loadSettings, withEnvFile } from '../config.ts'
import { checkDatabaseUrl } from '../db/connections/database-url.ts'
import { connectToRunningEmbedded, startEmbeddedPostgres } from '../db/embedded/embedded-postgres.ts'
import type { Settings } from '../settings.ts'

export interface TargetDatabase {
  url: string
  settings: Readonly<Settings>
  /** To be called when the command is done. */
  stop(): Promise<void>
}

/** The settings of the environment and of `.env`. */
export const commandSettings = (): Readonly<Settings> => loadSettings(withEnvFile(process.env, process.cwd())).settings

/** The embedded database is that of a running service, else it is started for the time being. */
export async function openTargetDatabase(
  given: string | undefined,
  tell: (line: string) => void,
): Promise<TargetDatabase> {
  const settings = commandSettings()
  const url = given ?? settings.DATABASE_DIRECT_URL ?? settings.DATABASE_URL
  if (url !== undefined) {
    checkDatabaseUrl(given === undefined ? 'DATABASE_URL' : '--database-url', url)
    return { url, settings, stop: async () => {} }
  }
  const running = connectToRunningEmbedded(settings.DATA_DIR)
  if (running !== undefined) return { url: running.url, settings, stop: async () => {} }
  const log = { info: tell, warn: tell, error: tell }
  const server = await startEmbeddedPostgres({ dataDir: settings.DATA_DIR, log, mayMoveData: true })
  return { url: server.url, settings, stop: () => server.stop() }
}
