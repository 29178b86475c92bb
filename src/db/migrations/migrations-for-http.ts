// Migrations as the routes need them: the status over a connection that is there, and errors of the catalogue.

import { AppError } from '../../errors.ts'
import { translatePgError } from '../pg-errors.ts'
import type { RunQuery } from '../run-query.ts'
import { MigrationError } from './migration-error.ts'
import { describeHolder } from './migration-session.ts'
import type { Migrator } from './migrator.ts'

// Someone waits for the answer.
const HTTP_LOCK_TIMEOUT_MS = 1_000

/** Migrations as routes need them: the status over `query`, and errors of the catalogue. */
export function migrationsForHttp(migrator: Migrator, query: RunQuery) {
  return {
    status: () => migrator.status(query).catch(rethrow),
    up: (options: { dryRun: boolean }) =>
      migrator.up({ ...options, lockTimeoutMs: HTTP_LOCK_TIMEOUT_MS }).catch(rethrow),
  }
}

function rethrow(error: unknown): never {
  if (!(error instanceof MigrationError)) throw translatePgError(error)
  const { kind, holder, cause } = error
  switch (kind) {
    case 'locked':
      throw new AppError(
        'migrations_locked',
        `Another process is migrating${holder ? `: ${describeHolder(holder)}` : ''}.`,
        {
          members: { holder: holder ?? null },
          cause: error,
        },
      )
    case 'drift':
    case 'newer':
      throw new AppError(
        'migration_drift',
        'The database has migrations that this version does not have in this form.',
        {
          cause: error,
        },
      )
    case 'failed':
    case 'refused':
      throw new AppError(
        cause === undefined ? 'database_misconfigured' : translatePgError(cause).code,
        'A migration could not be applied; `GET /migrations` and the log tell why.',
        { cause: error },
      )
  }
}
