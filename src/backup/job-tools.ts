import type { Settings } from '../settings.ts'
import type { JobTools } from './driver.ts'

/** What jobs need of the settings. */
export const toolsOf = (settings: Readonly<Settings>): JobTools => ({
  pgBin: settings.PG_BIN,
  pgbackrestRepository: settings.BACKUP_PGBACKREST_DIR,
  redisUrl: settings.REDIS_URL,
})
