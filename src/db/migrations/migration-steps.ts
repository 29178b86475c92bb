// How one migration runs: in a transaction with its ledger row, or outside of one.

import { setTimeout as sleep } from 'node:timers/promises'
import type { QueryResult } from 'pg'
import { quoteIdentifier } from '../sql.ts'
import { describeFailure, MigrationError } from './migration-error.ts'
import type { MigrationFile } from './migration-files.ts'
import { record } from './migration-ledger.ts'
import { MIGRATED_BY, type MigrationSession } from './migration-session.ts'

export interface StepOptions {
  schema: string
  /** Longest time that is spent on waiting for tables that others have locked. */
  lockTimeoutMs: number
  log(line: string): void
}

// While a migration waits for a table, everyone behind it waits too; half a second goes unnoticed, and is less than
// deadlock_timeout, so it is the migration that gives way. An autovacuum makes room only for who waits longer than that.
const LOCK_ATTEMPTS_MS = [500, 500, 1_500]
const LONGEST_PAUSE_MS = 2_000
const IS_WORTH_A_RETRY = new Set(['55P03', '40P01'])

/**
 * Runs `text` in one transaction in which names mean the schema's objects, then `after`, and commits. Where a table is
 * locked by others the whole is tried again within the lock time-out.
 */
export async function inTransaction(
  session: MigrationSession,
  options: StepOptions,
  { name, text, after }: { name: string; text: string; after(): Promise<void> },
): Promise<void> {
  const deadlineAt = performance.now() + options.lockTimeoutMs
  for (let attempt = 0; ; attempt++) {
    const pauseMs = Math.min(100 * 2 ** attempt, LONGEST_PAUSE_MS)
    try {
      await begin(session, options.schema, attempt)
      await runText(session, text)
      await after()
      await commit(session)
      return
    } catch (error) {
      if (session.isLost) throw error
      await session.client.query('ROLLBACK')
      const isLocked = IS_WORTH_A_RETRY.has((error as { code?: string }).code ?? '')
      if (!isLocked) throw error
      const holders = await tableHolders(session, options.schema)
      const leftMs = deadlineAt - performance.now()
      if (leftMs <= 0) {
        throw new MigrationError('failed', `its tables stayed locked for ${options.lockTimeoutMs} ms${holders}`, {
          cause: error,
        })
      }
      options.log(`${name} waits for a lock and tries again${holders}`)
      await sleep(Math.min(pauseMs * (0.5 + Math.random() / 2), leftMs))
    }
  }
}

/** Applies a migration and writes its ledger row; returns the duration in ms. @throws MigrationError `failed` */
export async function applyMigration(
  session: MigrationSession,
  file: MigrationFile,
  options: StepOptions,
): Promise<number> {
  const startedAt = performance.now()
  const elapsedMs = () => performance.now() - startedAt
  const recordApplied = () =>
    record(session.query, options.schema, file, { state: 'applied', durationMs: elapsedMs(), by: MIGRATED_BY })
  try {
    if (file.isTransactional) await inTransaction(session, options, { ...file, after: recordApplied })
    else {
      await outsideOfTransaction(session, file, options)
      await recordApplied()
    }
    return elapsedMs()
  } catch (error) {
    throw await failed(session, file, options, elapsedMs(), error)
  }
}

/** Starts the transaction of a migration. pg_temp goes last, so that no temporary table can stand in for one of ours. */
export async function begin(session: MigrationSession, schema: string, attempt = 0): Promise<void> {
  await session.query(
    `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
     SET LOCAL lock_timeout = ${LOCK_ATTEMPTS_MS[attempt % LOCK_ATTEMPTS_MS.length]};
     SET LOCAL search_path TO ${quoteIdentifier(schema)}, pg_temp`,
  )
}

/** Runs the text of a transactional migration. @throws MigrationError when it ended the transaction by itself */
export async function runText(session: MigrationSession, text: string): Promise<void> {
  const before = await transactionId(session)
  await session.client.query(text)
  if (session.client.getTransactionStatus() !== 'T' || (await transactionId(session)) !== before) {
    throw new MigrationError('failed', 'it ends its transaction by itself: leave BEGIN, COMMIT and ROLLBACK out')
  }
}

async function commit(session: MigrationSession): Promise<void> {
  const { command } = (await session.client.query('COMMIT')) as QueryResult
  if (command !== 'COMMIT') throw new MigrationError('failed', `PostgreSQL answered COMMIT with ${command}`)
}

const transactionId = async (session: MigrationSession): Promise<unknown> =>
  (await session.query('SELECT pg_current_xact_id()::text AS id')).rows[0]?.['id']

// Its locks do not hold up reads and writes, so it may wait for them as long as it takes.
async function outsideOfTransaction(
  session: MigrationSession,
  file: MigrationFile,
  options: StepOptions,
): Promise<void> {
  await dropInvalidIndexes(session, file, options)
  await session.client.query(
    `SET search_path TO ${quoteIdentifier(options.schema)}, pg_temp; SET lock_timeout = ${options.lockTimeoutMs}`,
  )
  try {
    await session.client.query(file.text)
  } catch (error) {
    if (!session.isLost) {
      await dropInvalidIndexes(session, file, options).catch((cause: Error) => options.log(`  ${cause.message}`))
    }
    throw error
  } finally {
    if (!session.isLost) await session.client.query('RESET search_path; SET lock_timeout = 0')
  }
}

/** A failed CREATE INDEX CONCURRENTLY leaves an index that serves nobody, and that IF NOT EXISTS takes for done. */
async function dropInvalidIndexes(session: MigrationSession, file: MigrationFile, options: StepOptions): Promise<void> {
  const { rows } = await session.query(
    `SELECT c.relname AS name FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
     WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relnamespace = to_regnamespace($1)`,
    [quoteIdentifier(options.schema)],
  )
  const words = new Set(file.text.match(/[\w$]+/g))
  for (const name of rows.map((row) => row['name'] as string).filter((each) => words.has(each))) {
    options.log(`${file.name}: dropping the invalid index ${name} that a failed attempt left`)
    await session.query(`DROP INDEX CONCURRENTLY IF EXISTS ${quoteIdentifier(options.schema)}.${quoteIdentifier(name)}`)
  }
}

async function failed(
  session: MigrationSession,
  file: MigrationFile,
  options: StepOptions,
  durationMs: number,
  cause: unknown,
): Promise<MigrationError> {
  const error = describeFailure(cause, file.text)
  if (session.isLost) {
    const unknown = `${file.name}: the connection was lost (${error}); \`annals migrate status\` tells whether it was applied`
    return new MigrationError('failed', unknown, { cause })
  }
  await record(session.query, options.schema, file, { state: 'failed', durationMs, by: MIGRATED_BY, error })
  const outcome = file.isTransactional ? 'failed and left nothing behind' : 'failed'
  return new MigrationError('failed', `${file.name} ${outcome}: ${error}`, { cause })
}

/** Who else holds locks on the store's tables, as the end of a sentence. */
async function tableHolders(session: MigrationSession, schema: string): Promise<string> {
  const { rows } = await session.query(
    `SELECT a.pid, a.application_name AS name, extract(epoch FROM clock_timestamp() - a.xact_start)::int AS seconds
     FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation JOIN pg_stat_activity AS a ON a.pid = l.pid
     WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND c.relnamespace = to_regnamespace($1)
     GROUP BY a.pid, a.application_name, a.xact_start ORDER BY a.xact_start LIMIT 3`,
    [quoteIdentifier(schema)],
  )
  const holders = (rows as { pid: number; name: string; seconds: number | null }[]).map(({ pid, name, seconds }) => {
    const age = seconds === null ? '' : `, in a transaction for ${seconds} s`
    return `backend ${pid} (${name || 'without a name'}${age})`
  })
  return holders.length === 0 ? '' : `; locked by ${holders.join(', ')}`
}
