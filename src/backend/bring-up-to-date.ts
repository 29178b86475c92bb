// The start of the database side: it is waited for, and migrated when the settings say so.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { MigrationError } from '../db/migrations/migration-error.ts'
import { type Migrator, refuseUnusable } from '../db/migrations/migrator.ts'
import { isConnectionFailure } from '../db/pg-errors.ts'
import type { Settings } from '../settings.ts'
import type { Connected } from './connected.ts'

const RETRY_MS = 250

/**
 * Waits for the database however long that takes, and migrates it when the settings say so.
 * @throws MigrationError when this version must not work on it, or a migration failed
 */
export async function bringUpToDate(
  { settings, logger }: { settings: Readonly<Settings>; logger: Logger },
  { query, monitor, migrator }: Pick<Connected, 'query' | 'monitor' | 'migrator'>,
  signal: AbortSignal,
): Promise<void> {
  const mayMigrate = (settings.MIGRATE_ON_START ?? (settings.DATABASE_URL === undefined ? 'on' : 'off')) === 'on'
  for (; !signal.aborted; await pause(signal)) {
    await monitor.check()
    const { database, migrations } = monitor.snapshot()
    if (database === 'unhealthy' || migrations === null) continue
    if (migrations === 'up_to_date') return
    if (migrations !== 'pending') {
      refuseUnusable(await migrator.status(query))
    } else if (mayMigrate) {
      await migrate(migrator, logger)
    } else {
      logger.warn('migrations are pending: run `annals migrate up`, or set MIGRATE_ON_START=on')
      return
    }
  }
}

// Someone else who migrates, or a connection that is lost, is waited for; the next round asks again.
async function migrate(migrator: Migrator, logger: Logger): Promise<void> {
  try {
    await migrator.up()
  } catch (error) {
    const { cause = error } = error as Error
    const passes = error instanceof MigrationError ? error.kind === 'locked' : isConnectionFailure(error)
    if (!passes && !isConnectionFailure(cause)) throw error
    logger.warn({ err: error }, 'migrating was interrupted, and is tried again')
  }
}

const pause = (signal: AbortSignal): Promise<void> => sleep(RETRY_MS, undefined, { signal }).catch(() => {})
