// What the commands for backups have in common: which store, which folder, how progress is shown, how it ends.

import { CommanderError } from 'commander'
import { asBackupError, type BackupError, type BackupErrorKind, OptionError } from '../backup/backup-error.ts'
import type { Desk } from '../backup/desk.ts'
import { openDestination } from '../backup/destinations/destinations.ts'
import type { JobContext } from '../backup/driver.ts'
import { toolsOf } from '../backup/job-tools.ts'
import { SettingsError } from '../config.ts'
import { connectToRunningEmbedded } from '../db/embedded/embedded-postgres.ts'
import { CommandError } from './command-error.ts'
import { showSteps } from './progress.ts'
import { chosenUrl, commandSettings, openTargetDatabase, type TargetOptions } from './target-database.ts'

export interface DeskOptions extends TargetOptions {
  schema?: string
  /** Where backups are; the setting BACKUP_DIR when absent. */
  dir?: string
  json?: boolean
}

export const BACKUP_EXIT_CODES = `
Exit codes: 0 done; 2 a backup is damaged, or differs from what it should be; 3 another job is running; 4 failed, or
refused before anything was changed; 130 stopped.`

const EXIT_BY_KIND: Record<BackupErrorKind, number> = {
  damaged: 2,
  different: 2,
  locked: 3,
  not_found: 4,
  refused: 4,
  failed: 4,
  stopped: 130,
}

/** Runs `work`; a signal stops it in order, and a second one at once. */
async function withJob(work: (context: JobContext) => Promise<void>): Promise<void> {
  const stopping = new AbortController()
  const stop = () => {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
    stopping.abort()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  const steps = showSteps()
  try {
    const log = (line: string) => void process.stderr.write(`${line}\n`)
    await work({ signal: stopping.signal, progress: (progress) => steps.update(progress), log })
  } catch (error) {
    steps.stop()
    throw asCommandError(error, stopping.signal)
  } finally {
    steps.stop()
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
}

/** Runs `work` with the store that the options or the settings name; an embedded one is started when it does not run. */
export async function withStore(options: DeskOptions, work: (desk: Desk, context: JobContext) => Promise<void>) {
  await withJob(async (context) => {
    const { url, settings, stop } = await openTargetDatabase(options, context.log)
    try {
      const store = { url, schema: options.schema ?? settings.DATABASE_SCHEMA }
      await work(
        { destination: openDestination(options.dir ?? settings.BACKUP_DIR, settings), store },
        { ...context, ...toolsOf(settings) },
      )
    } finally {
      await stop()
    }
  })
}

/** The same for what can do without a store: nothing is started for it. */
export async function withFiles(options: DeskOptions, work: (desk: Desk, context: JobContext) => Promise<void>) {
  await withJob(async (context) => {
    const settings = commandSettings()
    const url = chosenUrl(options, settings) ?? connectToRunningEmbedded(settings.DATA_DIR)?.url
    const store = url === undefined ? undefined : { url, schema: options.schema ?? settings.DATABASE_SCHEMA }
    await work(
      { destination: openDestination(options.dir ?? settings.BACKUP_DIR, settings), store },
      { ...context, ...toolsOf(settings) },
    )
  })
}

function asCommandError(error: unknown, signal: AbortSignal): Error {
  if ([CommandError, CommanderError, SettingsError].some((kind) => error instanceof kind)) return error as Error
  const failure: BackupError = asBackupError(error, signal)
  const said = failure instanceof OptionError ? `--${failure.message}` : failure.message
  const message = [said, ...failure.evidence.map((line) => `  ${line}`)].join('\n')
  return new CommandError(message, EXIT_BY_KIND[failure.kind], failure)
}
