// Migrations of one store: what is applied, what is pending, and the way from here to there.

import { VERSION } from '../../version.ts'
import type { RunQuery } from '../run-query.ts'
import { hasRows, requireObjects, type Verification, verifyStore } from './migration-checks.ts'
import { describeFailure, MigrationError } from './migration-error.ts'
import { MIGRATIONS_FOLDER, type MigrationFile, readMigrations } from './migration-files.ts'
import {
  acceptChecksum,
  createLedger,
  createSchema,
  type MigrationEntry,
  type MigrationStatus,
  readStatus,
  record,
  refusal,
} from './migration-ledger.ts'
import { MIGRATED_BY, MigrationSession } from './migration-session.ts'
import { applyMigration, begin, inTransaction, runText, type StepOptions } from './migration-steps.ts'

export interface MigratorOptions {
  /** Of the database itself, not of a pooler. */
  connectionString: string
  /** Holds every object of the store; made when it is absent. */
  schema?: string
  /** Other than the folder of this version, for tests. */
  folder?: string
  /** Longest wait for another process that migrates, and for tables that others have locked; default 30,000. */
  lockTimeoutMs?: number
  /** Told what is being done, one line at a time. */
  log?(line: string): void
}

export interface UpOptions {
  /** Last version to apply; default: the latest. */
  to?: number
  /** Tries what is pending in one transaction that is rolled back. It takes the same locks as the real run. */
  dryRun?: boolean
  lockTimeoutMs?: number
}

export interface AppliedMigration {
  version: number
  name: string
  /** Null in a dry run for what can't be tried: a migration without a transaction, and all after it. */
  duration_ms: number | null
}

export interface DownOptions {
  /** Version to go back to; default: the one before the current. */
  to?: number
  /** Needed where data would be destroyed. */
  mayLoseData?: boolean
}

const DEFAULT_LOCK_TIMEOUT_MS = 30_000

export class Migrator {
  readonly files: MigrationFile[]
  readonly #connectionString: string
  readonly #schema: string
  readonly #folder: string
  readonly #lockTimeoutMs: number
  readonly #log: (line: string) => void

  /** @throws MigrationFilesError when the files break a rule */
  constructor(options: MigratorOptions) {
    this.#connectionString = options.connectionString
    this.#schema = options.schema ?? 'public'
    this.#folder = options.folder ?? MIGRATIONS_FOLDER
    this.#lockTimeoutMs = options.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS
    this.#log = options.log ?? (() => {})
    this.files = readMigrations(this.#folder)
  }

  /** Compares the files with the ledger: in one statement over `query`, or on a connection of its own. */
  status(query?: RunQuery): Promise<MigrationStatus> {
    if (query !== undefined) return readStatus(query, this.#schema, this.files)
    return this.#connected((session) => readStatus(session.query, this.#schema, this.files))
  }

  /**
   * Applies what is pending, in order, each migration in a transaction of its own, and returns what was applied.
   * @throws MigrationError `drift`, `newer`, `locked`, `refused`, `failed`; what was applied before it stays
   */
  up(options: UpOptions = {}): Promise<AppliedMigration[]> {
    return this.#locked(options.lockTimeoutMs, async (session) => {
      const status = await this.#usableStatus(session)
      const to = this.#known(options.to ?? status.latest)
      const files = pendingFiles(status, this.files).filter(({ version }) => version <= to)
      if (files.length === 0) return []
      if (options.dryRun) return this.#tryOut(session, files)
      await this.#createLedger(session)
      const applied: AppliedMigration[] = []
      for (const file of files) {
        await session.checkLock()
        const durationMs = Math.round(await applyMigration(session, file, this.#stepOptions))
        applied.push({ version: file.version, name: file.name, duration_ms: durationMs })
        this.#log(`applied ${file.name} in ${durationMs} ms`)
      }
      return applied
    })
  }

  /**
   * Takes back the last migration, or all above `to`, and returns them in the order in which they went.
   * @throws MigrationError `refused` for one that can't be taken back, or not without losing data
   */
  down(options: DownOptions = {}): Promise<AppliedMigration[]> {
    return this.#locked(undefined, async (session) => {
      const status = await this.#usableStatus(session)
      const to = options.to ?? status.current - 1
      if (to > 0) this.#known(to)
      const files = this.files.filter(({ version }) => version > to && version <= status.current).toReversed()
      const reverted: AppliedMigration[] = []
      for (const file of files) {
        await session.checkLock()
        const durationMs = await this.#takeBack(session, file, options.mayLoseData ?? false)
        reverted.push({ version: file.version, name: file.name, duration_ms: durationMs })
        this.#log(`took back ${file.name} in ${durationMs} ms`)
      }
      return reverted
    })
  }

  /** Compares checksums, the objects of the schema, and the head with the events. Changes nothing. */
  verify(): Promise<Verification> {
    return this.#connected(async (session) => {
      const status = await readStatus(session.query, this.#schema, this.files)
      return verifyStore(session.query, this.#schema, this.#folder, status)
    })
  }

  /**
   * Writes the migrations up to `version` down as applied without running them: for a schema that was made otherwise,
   * such as a restored dump without its ledger.
   * @throws MigrationError `refused` when something is applied already, or the schema lacks what they would have made
   */
  baseline(version: number): Promise<MigrationEntry[]> {
    return this.#locked(undefined, async (session) => {
      const status = await this.#usableStatus(session)
      if (status.current > 0) {
        throw new MigrationError(
          'refused',
          `a baseline is for a database without applied migrations; this one is at ${status.current}`,
        )
      }
      const files = this.files.filter((file) => file.version <= this.#known(version))
      await requireObjects(session.query, this.#schema, this.#folder, {
        version,
        isLatest: version === this.files.at(-1)?.version,
      })
      await this.#createLedger(session)
      const note = `baseline by hand, not run`
      for (const file of files) {
        await record(session.query, this.#schema, file, { state: 'applied', durationMs: 0, by: MIGRATED_BY, note })
      }
      return (await readStatus(session.query, this.#schema, this.files)).migrations
    })
  }

  /**
   * Accepts that a migration (a name, or a version) was changed after it was applied, or that its file is gone.
   * The ledger keeps the reason and who gave it.
   * @throws MigrationError `refused` when there is nothing to accept
   */
  async repair({ accept, reason }: { accept: string; reason: string }): Promise<MigrationEntry> {
    if (reason.trim() === '') throw new MigrationError('refused', 'a repair needs a reason')
    return this.#locked(undefined, async (session) => {
      const { migrations } = await readStatus(session.query, this.#schema, this.files)
      const entry = migrations.find(({ name, version }) => name === accept || String(version) === accept)
      if (entry === undefined) throw new MigrationError('refused', `there is no migration ${accept}`)
      const file = this.files.find(({ version }) => version === entry.version)
      const said = `${new Date().toISOString()} ${reason.trim()}`
      if (entry.state === 'changed' && file !== undefined) {
        const note = `${said} (accepted ${file.checksum} for ${entry.applied_checksum})`
        await acceptChecksum(session.query, this.#schema, file, note)
      } else if (entry.state === 'missing') {
        const gone = { ...entry, checksum: entry.applied_checksum as string }
        const note = `${said} (its file is gone)`
        await record(session.query, this.#schema, gone, { state: 'forgotten', durationMs: 0, by: MIGRATED_BY, note })
      } else {
        throw new MigrationError('refused', `${entry.name} is ${entry.state}: there is nothing to accept`)
      }
      return entry
    })
  }

  get #stepOptions(): StepOptions {
    return { schema: this.#schema, lockTimeoutMs: this.#lockTimeoutMs, log: this.#log }
  }

  async #connected<T>(work: (session: MigrationSession) => Promise<T>): Promise<T> {
    const { schema } = this.#stepOptions
    const session = await MigrationSession.open({ connectionString: this.#connectionString, schema, log: this.#log })
    try {
      return await work(session)
    } finally {
      await session.close()
    }
  }

  #locked<T>(lockTimeoutMs: number | undefined, work: (session: MigrationSession) => Promise<T>): Promise<T> {
    return this.#connected(async (session) => {
      await session.lock(lockTimeoutMs ?? this.#lockTimeoutMs)
      return work(session)
    })
  }

  async #usableStatus(session: MigrationSession): Promise<MigrationStatus> {
    const status = await readStatus(session.query, this.#schema, this.files)
    refuseUnusable(status)
    return status
  }

  async #createLedger(session: MigrationSession): Promise<void> {
    try {
      await createLedger(session.query, this.#schema)
    } catch (cause) {
      throw new MigrationError('failed', `the ledger can't be made: ${describeFailure(cause, '')}`, { cause })
    }
  }

  #known(version: number): number {
    const latest = this.files.at(-1)?.version ?? 0
    if (version >= 1 && version <= latest) return version
    throw new MigrationError('refused', `there is no migration ${version}; Annals ${VERSION} has 1 to ${latest}`)
  }

  async #tryOut(session: MigrationSession, files: MigrationFile[]): Promise<AppliedMigration[]> {
    const tried: AppliedMigration[] = []
    await begin(session, this.#schema)
    let current: MigrationFile | undefined
    try {
      await createSchema(session.query, this.#schema)
      for (const file of files) {
        current = file
        const isTriable = file.isTransactional && tried.at(-1)?.duration_ms !== null
        const startedAt = performance.now()
        if (isTriable) await runText(session, file.text)
        const durationMs = isTriable ? Math.round(performance.now() - startedAt) : null
        tried.push({ version: file.version, name: file.name, duration_ms: durationMs })
      }
    } catch (cause) {
      const what = describeFailure(cause, current?.text ?? '')
      throw new MigrationError('failed', `${current?.name ?? 'the dry run'} would fail: ${what}`, { cause })
    } finally {
      if (!session.isLost) await session.query('ROLLBACK')
    }
    return tried
  }

  async #takeBack(session: MigrationSession, file: MigrationFile, mayLoseData: boolean): Promise<number> {
    const { name, down, version } = file
    if (down === null) {
      throw new MigrationError('refused', `${name} has no way back: there is no ${name}.down.sql`)
    }
    if (down.destroys !== null && !mayLoseData && (await hasRows(session.query, this.#schema))) {
      throw new MigrationError(
        'refused',
        `taking back ${name} destroys ${down.destroys}: say --i-will-lose-data if that is wanted`,
      )
    }
    const startedAt = performance.now()
    const durationMs = () => Math.round(performance.now() - startedAt)
    const after = () =>
      record(session.query, this.#schema, file, { state: 'reverted', durationMs: durationMs(), by: MIGRATED_BY })
    try {
      await inTransaction(session, this.#stepOptions, { name, text: down.text, after })
    } catch (cause) {
      const what = describeFailure(cause, down.text)
      throw new MigrationError('failed', `taking back ${name} failed, the database is at ${version}: ${what}`, {
        cause,
      })
    }
    return durationMs()
  }
}

/**
 * Brings the database behind `url` up to the migrations of this version, and returns what was applied.
 * @throws MigrationError, MigrationFilesError, or an error of `pg`
 */
export function runMigrations(
  url: string,
  options: Omit<MigratorOptions, 'connectionString'> = {},
): Promise<AppliedMigration[]> {
  return new Migrator({ ...options, connectionString: url }).up()
}

/** @throws MigrationError `newer` or `drift`, in words, when this version must not work on the database */
export function refuseUnusable(status: MigrationStatus): void {
  const reason = refusal(status)
  if (reason !== undefined) throw new MigrationError(status.status === 'newer' ? 'newer' : 'drift', reason)
}

const pendingFiles = ({ migrations }: MigrationStatus, files: MigrationFile[]): MigrationFile[] =>
  files.filter(({ version }) => migrations.some((entry) => entry.version === version && entry.state === 'pending'))
