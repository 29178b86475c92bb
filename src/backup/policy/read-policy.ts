// The policy file, JSON or YAML: read whole, or refused with the place that is wrong.

import { readFileSync } from 'node:fs'
import { Value } from '@sinclair/typebox/value'
import { Cron } from 'croner'
import { parse } from 'yaml'
import { SettingsError } from '../../config.ts'
import { DRIVERS } from '../drivers.ts'
import { PGBACKREST } from '../pgbackrest/details.ts'
import { BackupPolicy, DEFAULT_POLICY, type Schedule } from './policy.ts'

/** The policy of BACKUP_POLICY_FILE, or the built-in one without a file. @throws SettingsError */
export function readPolicy(file: string | undefined): Readonly<BackupPolicy> {
  if (file === undefined) return DEFAULT_POLICY
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new SettingsError(`BACKUP_POLICY_FILE: ${file} can't be read (${(cause as NodeJS.ErrnoException).code})`, {
      cause,
    })
  }
  return parsePolicy(text, `BACKUP_POLICY_FILE: ${file}`)
}

/** Members that are absent are those of the built-in policy; one that is there replaces it whole. @throws SettingsError */
export function parsePolicy(text: string, where: string): Readonly<BackupPolicy> {
  let given: unknown
  try {
    // JSON is YAML too.
    given = parse(text)
  } catch (cause) {
    throw new SettingsError(`${where} is neither JSON nor YAML: ${(cause as Error).message.split('\n')[0]}`, { cause })
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new SettingsError(`${where} must hold an object with members such as schedules and retention`)
  }
  const policy = { ...DEFAULT_POLICY, ...given }
  const error = Value.Errors(BackupPolicy, policy).First()
  if (error !== undefined) throw new SettingsError(`${where}: ${describe(error.path, error.message, policy)}`)
  refuseContradictions(policy, where)
  return policy
}

/** Of a schedule that fits neither task the schema only says that; here it is said which tasks there are. */
function describe(path: string, message: string, policy: object): string {
  const schedule = /^\/schedules\/(\d+)/.exec(path)?.[1]
  if (schedule === undefined) return `${path || 'it'}: ${message}`
  const shown = JSON.stringify((policy as { schedules: unknown[] }).schedules[Number(schedule)])
  return `${path}: ${message}: ${shown}; a schedule has name, cron, and task create (with type, and maybe incremental, kind, to, verify) or prune`
}

function refuseContradictions({ timezone, schedules, alerts }: BackupPolicy, where: string): void {
  const names = schedules.map(({ name }) => name)
  const twin = names.find((name, i) => names.indexOf(name) !== i)
  if (twin !== undefined) throw new SettingsError(`${where}: two schedules have the name ${twin}`)
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone })
  } catch (cause) {
    throw new SettingsError(`${where}: there is no time zone ${JSON.stringify(timezone)}`, { cause })
  }
  for (const schedule of schedules) {
    const { name, cron } = schedule
    const fault = faultOf(schedule)
    if (fault !== undefined) throw new SettingsError(`${where}: the schedule ${name} ${fault}`)
    try {
      if (new Cron(cron, { mode: '5-part', paused: true, timezone }).nextRun() === null)
        throw new Error('it never comes')
    } catch (cause) {
      throw new SettingsError(`${where}: the cron of ${name} is ${JSON.stringify(cron)}: ${(cause as Error).message}`, {
        cause,
      })
    }
  }
  if (alerts.critical_after_hours < alerts.warn_after_hours) {
    throw new SettingsError(`${where}: alerts.critical_after_hours must not be less than alerts.warn_after_hours`)
  }
}

/** What no backup of its type can do; undefined when there is nothing. */
function faultOf(schedule: Schedule): string | undefined {
  if (schedule.task !== 'create') return undefined
  const { type, incremental, kind } = schedule
  const driver = DRIVERS.find((each) => each.type === type)
  if (driver === undefined) {
    return `has the type ${JSON.stringify(type)}; those that are: ${DRIVERS.map((each) => each.type).join(', ')}`
  }
  if (kind !== undefined && !driver.takes.includes('kind')) return `has a kind, which is for the type ${PGBACKREST}`
  if (incremental !== true || driver.isIncremental) return undefined
  return type === PGBACKREST
    ? 'is incremental; of this type say "kind": "incr" or "diff"'
    : `is incremental, and a backup of type ${type} can't add to another one`
}
