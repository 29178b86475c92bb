// Runs the schedules of the policy: of all services on a store the one that holds the lock. What came due while nobody
// led is caught up once.

import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import {
  failRunning,
  listSchedules,
  putSchedule,
  type ScheduleRecord,
  tryLead,
} from '../../db/backup/schedule-records.ts'
import { connectToStore, type StoreAddress } from '../../db/backup/store-connection.ts'
import type { RunQuery } from '../../db/run-query.ts'
import { asBackupError, type BackupError } from '../backup-error.ts'
import type { Schedule } from '../policy/policy.ts'
import { missedDue, nextDue } from './due.ts'

export interface SchedulerOptions {
  store: StoreAddress
  timezone: string
  schedules: readonly Schedule[]
  run(schedule: Schedule, signal: AbortSignal): Promise<void>
  /** One line about what happened; `error` when somebody should look. */
  tell(line: string, error?: unknown): void
  now?(): Date
  /** Longest time until the clock, and who leads, is looked at again; default 15,000. */
  checkMs?: number
}

export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #stopping = new AbortController()
  #ended: Promise<void> = Promise.resolve()

  constructor(options: SchedulerOptions) {
    this.#options = options
  }

  start(): void {
    this.#ended = this.#run()
  }

  /** What runs is stopped in order, and its backup removed. */
  stop(): Promise<void> {
    this.#stopping.abort()
    return this.#ended
  }

  async #run(): Promise<void> {
    const { store, tell } = this.#options
    let said: string | undefined
    for (const { signal } = this.#stopping; !signal.aborted; await this.#pause(this.#checkMs)) {
      let client: pg.Client | undefined
      try {
        client = await connectToStore(store, 'schedules')
        if (await tryLead(client, store.schema)) await this.#lead(client)
        said = undefined
      } catch (error) {
        // The same words every few seconds tell nothing new.
        const { message } = asBackupError(error)
        if (message !== said && !signal.aborted) tell(`schedules do not run: ${message}`, error)
        said = message
      } finally {
        await client?.end().catch(() => {})
      }
    }
  }

  /** Until it is stopped, or the connection, and the lock with it, is lost. */
  async #lead(client: pg.Client): Promise<void> {
    const { store, schedules, timezone } = this.#options
    const { signal } = this.#stopping
    const query: RunQuery = (text, values) => client.query(text, values)
    await failRunning(query, store.schema)
    while (!signal.aborted) {
      const records = await listSchedules(query, store.schema)
      for (const schedule of schedules) {
        if (signal.aborted) return
        const known = records.find(({ name }) => name === schedule.name)
        await this.#runWhenDue(query, schedule, known)
      }
      const now = this.#now()
      const next = schedules.map(({ cron }) => nextDue({ cron, timezone }, now)?.getTime() ?? Number.POSITIVE_INFINITY)
      await this.#pause(Math.min(this.#checkMs, ...next.map((at) => Math.max(at - now.getTime(), 0) + 1)))
    }
  }

  async #runWhenDue(query: RunQuery, schedule: Schedule, known: ScheduleRecord | undefined): Promise<void> {
    const { run, store, tell, timezone } = this.#options
    const { name, cron } = schedule
    const now = this.#now()
    const nothing = { started_at: null, finished_at: null, state: null, error: null }
    // One that is new has missed nothing.
    if (known === undefined) return putSchedule(query, store.schema, { name, due_at: now.toISOString(), ...nothing })
    const due = missedDue({ cron, timezone }, new Date(known.due_at), now)
    if (due === undefined) return
    const record = { name, due_at: due.toISOString(), started_at: now.toISOString() }
    await putSchedule(query, store.schema, { ...nothing, ...record, state: 'running' })
    tell(`the schedule ${name} runs, for ${record.due_at}`)
    let error: BackupError | undefined
    try {
      await run(schedule, this.#stopping.signal)
    } catch (cause) {
      error = asBackupError(cause, this.#stopping.signal)
    }
    // Another job is at work, maybe of an operator: this one waits for its end, and stays due.
    if (error?.kind === 'locked') return putSchedule(query, store.schema, known)
    const state = error === undefined ? 'succeeded' : 'failed'
    tell(`the schedule ${name} ${error === undefined ? 'is done' : `failed: ${error.message}`}`, error)
    const outcome = { state, finished_at: this.#now().toISOString(), error: error?.message ?? null } as const
    await putSchedule(query, store.schema, { ...record, ...outcome })
  }

  #now(): Date {
    return this.#options.now?.() ?? new Date()
  }

  get #checkMs(): number {
    return this.#options.checkMs ?? 15_000
  }

  #pause(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.#stopping.signal, ref: false }).catch(() => {})
  }
}
