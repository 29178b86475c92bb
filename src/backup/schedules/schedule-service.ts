// The schedules as the service has them: run when the settings say so, reported always.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { StoreAddress } from '../../db/backup/store-connection.ts'
import { translatePgError } from '../../db/pg-errors.ts'
import type { RunQuery } from '../../db/run-query.ts'
import type { Settings } from '../../settings.ts'
import { openDestination } from '../destinations/destinations.ts'
import { toolsOf } from '../job-tools.ts'
import type { BackupPolicy, Schedule } from '../policy/policy.ts'
import { activeSchedules, runSchedule, type ScheduledWork } from './run-schedule.ts'
import { reportSchedules, type ScheduleReport } from './schedule-report.ts'
import { Scheduler } from './scheduler.ts'

export interface ScheduleServiceOptions {
  settings: Readonly<Settings>
  policy: Readonly<BackupPolicy>
  store: StoreAddress
  query: RunQuery
  logger: Logger
}

export class ScheduleService {
  readonly #options: ScheduleServiceOptions
  readonly #active: Schedule[]
  readonly #scheduler: Scheduler | undefined

  /** @throws BackupError for a place that can't be one */
  constructor(options: ScheduleServiceOptions) {
    const { settings, policy, store, logger } = options
    const { BACKUP_OFFSITE: offsite } = settings
    const work: ScheduledWork = {
      ...{ store, policy, local: openDestination(settings.BACKUP_DIR, settings) },
      offsite: offsite === undefined ? undefined : openDestination(offsite, settings),
    }
    this.#options = options
    this.#active = activeSchedules(work)
    if (settings.SCHEDULES === 'off') return
    const context = {
      ...toolsOf(settings),
      ...{ progress() {}, log: (line: string) => logger.info(line) },
    }
    this.#scheduler = new Scheduler({
      ...{ store, timezone: policy.timezone, schedules: this.#active },
      run: (schedule, signal) => runSchedule(schedule, work, { ...context, signal }),
      tell: (line, error) => (error === undefined ? logger.info(line) : logger.error({ err: error }, line)),
    })
  }

  start(): void {
    this.#scheduler?.start()
  }

  /** What runs is stopped in order; after `deadlineMs` it is not waited for any more. */
  async stop(deadlineMs: number): Promise<void> {
    await Promise.race([this.#scheduler?.stop(), sleep(deadlineMs, undefined, { ref: false })])
  }

  /** @throws AppError */
  report(): Promise<ScheduleReport> {
    const { query, policy, store, settings } = this.#options
    const isOn = settings.SCHEDULES === 'on'
    return reportSchedules(query, { schema: store.schema, policy, active: this.#active, isOn }).catch((error) => {
      throw translatePgError(error)
    })
  }
}
