import { MigrationError } from '../db/migrations/migration-error.ts'

/**
 * `not_found`: there is no such backup. `refused`: it was not begun, and nothing changed. `locked`: another job runs on
 * the store. `damaged`: the files are not what was backed up. `different`: what came out is not what went in.
 * `failed`: it was begun, and did not come to its end. `stopped`: it was told to stop.
 */
export type BackupErrorKind = 'not_found' | 'refused' | 'locked' | 'damaged' | 'different' | 'failed' | 'stopped'

/** Why a backup, a check or a restore did not succeed, in words for the operator. */
export class BackupError extends Error {
  override name = 'BackupError'
  readonly kind: BackupErrorKind
  /** Where exactly, one line each; the first few. */
  readonly evidence: readonly string[]

  constructor(kind: BackupErrorKind, message: string, options: { cause?: unknown; evidence?: readonly string[] } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
    this.evidence = options.evidence ?? []
  }
}

/** `refused` for one of the options. The message begins with its name, as it is in JSON; the command line has it with dashes. */
export class OptionError extends BackupError {
  override name = 'OptionError'
  readonly option: string
  /** In snake_case, for programs. */
  readonly rule: string

  constructor(option: string, rule: string, problem: string) {
    super('refused', `${option} ${problem}`)
    this.option = option
    this.rule = rule
  }
}

/** What went wrong, with what the system or the database said about it. */
export function describeCause(error: unknown): string {
  const { message, code, detail } = error as Error & { code?: string; detail?: string }
  return [message || code || String(error), detail].filter((part) => part).join(': ')
}

/** Whatever was thrown, as an error that says what became of the job. */
export function asBackupError(error: unknown, signal?: AbortSignal): BackupError {
  if (error instanceof BackupError) return error
  if (signal?.aborted) return new BackupError('stopped', 'it was stopped, and nothing of it is left', { cause: error })
  if (error instanceof MigrationError) return new BackupError('refused', error.message, { cause: error })
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC') {
    return new BackupError('failed', 'there is no space left where the backup goes; nothing of it is left', {
      cause: error,
    })
  }
  return new BackupError('failed', describeCause(error), { cause: error })
}
