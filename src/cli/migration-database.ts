// Which database the migration commands mean, and how what they meet becomes an exit code.

import { CommanderError } from 'commander'
import { MigrationError, type MigrationErrorKind } from '../db/migrations/migration-error.ts'
import { Migrator } from '../db/migrations/migrator.ts'
import { CommandError } from './command-error.ts'
import { openTargetDatabase } from './target-database.ts'

/** Options of every migration command. */
export interface MigrateOptions {
  databaseUrl?: string
  schema?: string
  folder?: string
  json?: boolean
}

/** Where results and progress go. */
export interface Output {
  out(text: string): void
  err(text: string): void
}

/** What scripts may rely on. */
export const EXIT = { drift: 2, locked: 3, failed: 4 } as const

const EXIT_BY_KIND: Record<MigrationErrorKind, number> = {
  drift: EXIT.drift,
  newer: EXIT.drift,
  locked: EXIT.locked,
  refused: EXIT.failed,
  failed: EXIT.failed,
}

/**
 * Runs `work` on the database that the options name, or the settings, or on the embedded one: that of a running
 * service, else one that is started for the time being.
 */
export async function withMigrator(
  options: MigrateOptions,
  output: Output,
  work: (migrator: Migrator) => Promise<void>,
): Promise<void> {
  try {
    const { url, settings, stop } = await openTargetDatabase(options, (line) => output.err(`${line}\n`))
    try {
      const migrator = new Migrator({
        connectionString: url,
        schema: options.schema ?? settings.DATABASE_SCHEMA,
        lockTimeoutMs: settings.MIGRATION_LOCK_TIMEOUT_MS,
        ...(options.folder === undefined ? {} : { folder: options.folder }),
        log: (line) => (options.json ? output.err(`${line}\n`) : output.out(`${line}\n`)),
      })
      await work(migrator)
    } finally {
      await stop()
    }
  } catch (error) {
    throw asCommandError(error)
  }
}

/** The error with the exit code that belongs to it. */
export function asCommandError(error: unknown): Error {
  if (error instanceof CommandError || error instanceof CommanderError) return error
  const exitCode = error instanceof MigrationError ? EXIT_BY_KIND[error.kind] : EXIT.failed
  return new CommandError((error as Error).message, exitCode, error)
}
