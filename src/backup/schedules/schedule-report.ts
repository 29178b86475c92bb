// The schedules with what they did last and when they come next.

import { listSchedules, type ScheduleRecord } from '../../db/backup/schedule-records.ts'
import type { RunQuery } from '../../db/run-query.ts'
import type { BackupPolicy, Schedule } from '../policy/policy.ts'
import { nextDue } from './due.ts'

export interface ScheduleReport {
  /** Whether this service runs them, when it leads. */
  is_on: boolean
  timezone: string
  schedules: {
    name: string
    cron: string
    task: Schedule['task']
    /** Of a backup. */
    type: string | null
    to: 'local' | 'offsite' | null
    incremental: boolean
    /** RFC 3339 UTC. */
    next_at: string | null
    last: Omit<ScheduleRecord, 'name'> | null
  }[]
}

/** @throws errors of `pg` */
export async function reportSchedules(
  query: RunQuery,
  {
    schema,
    policy,
    active,
    isOn,
  }: { schema: string; policy: BackupPolicy; active: readonly Schedule[]; isOn: boolean },
): Promise<ScheduleReport> {
  const records = await listSchedules(query, schema)
  const now = new Date()
  return {
    is_on: isOn,
    timezone: policy.timezone,
    schedules: active.map((schedule) => {
      const { name: _, ...last } = records.find(({ name }) => name === schedule.name) ?? { name: null }
      const isBackup = schedule.task === 'create'
      return {
        ...{ name: schedule.name, cron: schedule.cron, task: schedule.task },
        type: isBackup ? schedule.type : null,
        to: isBackup ? (schedule.to ?? 'local') : null,
        incremental: isBackup && isPartial(schedule),
        next_at: nextDue({ cron: schedule.cron, timezone: policy.timezone }, now)?.toISOString() ?? null,
        last: 'state' in last && last.state !== null ? last : null,
      }
    }),
  }
}

/** Of pgBackRest a full one is the only one that is whole. */
const isPartial = ({ incremental, kind = 'full' }: Extract<Schedule, { task: 'create' }>): boolean =>
  incremental === true || kind !== 'full'
