// Backups as the HTTP service offers them: what is asked for becomes a job, and the answer is its id. Errors are those of
// the catalogue of problems.

import type { JobKind, JobRecord } from '../db/backup/backup-records.ts'
import { translatePgError } from '../db/pg-errors.ts'
import { AppError, type ErrorCode, validationFailed } from '../errors.ts'
import { asBackupError, type BackupErrorKind, OptionError } from './backup-error.ts'
import { type Catalogue, type CatalogueEntry, readCatalogue, readJobs } from './catalogue.ts'
import { type BackupRequest, checkRequest, createBackup } from './create-backup.ts'
import type { Desk } from './desk.ts'
import type { JobContext, JobTools, VerifyLevel } from './driver.ts'
import type { Manifest } from './manifest.ts'
import { testBackup } from './test-backup.ts'
import { verifyBackup } from './verify-backup.ts'

export interface BackupService {
  list(): Promise<Catalogue>
  /** @throws AppError `backup_not_found`, `backup_damaged` */
  find(id: string): Promise<{ entry: CatalogueEntry | undefined; manifest: Manifest }>
  /** Each begins a job and answers its id. @throws AppError `job_running`, `backup_refused`; before it `validation_failed` */
  create(request: BackupRequest): Promise<string>
  verify(id: string, level: VerifyLevel): Promise<string>
  test(id: string): Promise<string>
  /** @throws AppError `job_not_found` */
  job(id: string): Promise<JobRecord>
}

export interface BackupServiceOptions {
  /** Errors of `destination` are told to whoever asks, so it may be one that can't be had. */
  desk: Desk
  tools: JobTools
  /** Told of every job that did not succeed. */
  onFailure(kind: JobKind, error: Error): void
}

export class BackupJobs implements BackupService {
  readonly #options: BackupServiceOptions
  readonly #stopping = new AbortController()
  readonly #running = new Set<Promise<void>>()

  constructor(options: BackupServiceOptions) {
    this.#options = options
  }

  list(): Promise<Catalogue> {
    return readCatalogue(this.#options.desk).catch(rethrow)
  }

  async find(id: string): Promise<{ entry: CatalogueEntry | undefined; manifest: Manifest }> {
    try {
      const { manifest } = await this.#options.desk.destination.find(id)
      const { entries } = await readCatalogue(this.#options.desk)
      return { manifest, entry: entries.find((each) => each.id === id) }
    } catch (error) {
      return rethrow(error)
    }
  }

  async create(request: BackupRequest): Promise<string> {
    try {
      checkRequest(request)
    } catch (error) {
      return rethrow(error)
    }
    return this.#begin('create', (desk, context) => createBackup(desk, request, context))
  }

  async verify(id: string, level: VerifyLevel): Promise<string> {
    await this.find(id)
    return this.#begin('verify', (desk, context) => verifyBackup(desk, { id, level }, context))
  }

  async test(id: string): Promise<string> {
    await this.find(id)
    return this.#begin('test', (desk, context) => testBackup(desk, id, context))
  }

  async job(id: string): Promise<JobRecord> {
    const [job] = await readJobs(this.#options.desk, { id }).catch(rethrow)
    if (job === undefined) throw new AppError('job_not_found', `There is no job ${id}.`)
    return job
  }

  /** Stops what runs, and waits until nothing of it is left. */
  async close(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#running)
  }

  /** Resolves when the job is written down, or rejects with why it was not begun. */
  #begin(
    kind: JobKind,
    work: (desk: Desk, context: JobContext & { onStarted(jobId: string): void }) => Promise<unknown>,
  ): Promise<string> {
    return new Promise((resolve, reject) => {
      const { desk, tools } = this.#options
      const context = {
        ...{ signal: this.#stopping.signal, progress() {}, log() {}, onStarted: resolve },
        ...tools,
      }
      const done = work(desk, context).then(
        () => {},
        (error: unknown) => {
          // After the start nobody hears the rejection; the job has it, and the log.
          this.#options.onFailure(kind, error as Error)
          reject(translate(error))
        },
      )
      this.#running.add(done)
      void done.finally(() => this.#running.delete(done))
    })
  }
}

const CODES: Partial<Record<BackupErrorKind, ErrorCode>> = {
  not_found: 'backup_not_found',
  locked: 'job_running',
  refused: 'backup_refused',
  damaged: 'backup_damaged',
  stopped: 'shutting_down',
}

function translate(error: unknown): AppError {
  if (error instanceof AppError) return error
  if (error instanceof OptionError) {
    return validationFailed([{ pointer: `/${error.option}`, rule: error.rule }], `${error.message}.`)
  }
  const { kind, message, cause } = asBackupError(error)
  const code = CODES[kind]
  return code === undefined
    ? translatePgError(cause ?? error)
    : new AppError(code, `${sentence(message)}.`, { cause: error })
}

function rethrow(error: unknown): never {
  throw translate(error)
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
