// The policy as a page for people: what is backed up when, how long it is kept, who is told, what recovery has to reach.

import type { BackupPolicy, Schedule } from './policy.ts'

/** Markdown, without a heading of the first level. */
export const policyDocument = (policy: BackupPolicy): string => {
  const { timezone, schedules, retention, alerts, objectives, offsite_expire_days: expire } = policy
  return `## What is done when

| name | when (${timezone}) | what | where |
| --- | --- | --- | --- |
${schedules.map((each) => `| \`${each.name}\` | \`${each.cron}\` | ${whatOf(each)} | ${whereOf(each)} |`).join('\n')}

## How long backups are kept

For ${counted(retention.days, 'day')}; then the newest of each of ${counted(retention.daily, 'day')}, ${counted(retention.weekly, 'week')} and ${counted(retention.monthly, 'month')}. The newest ${retention.keep_min} always stay, and so do
the newest verified one and whatever a kept one adds to. A bucket's own rule removes what is ${counted(expire, 'day')} old.

## Who is told

| when | severity |
| --- | --- |
| no backup succeeded for ${counted(alerts.warn_after_hours, 'hour')} | warning |
| no backup succeeded for ${counted(alerts.critical_after_hours, 'hour')} | critical |
| no drill succeeded for ${counted(alerts.drill_within_days, 'day')} | warning |

## What recovery has to reach

At most ${duration(objectives.rpo_seconds)} of the newest data may be lost.

| scenario | recovered within |
| --- | --- |
${Object.entries(objectives.rto_seconds)
  .map(
    ([scenario, seconds]) => `| ${scenario === 'default' ? 'any other' : `\`${scenario}\``} | ${duration(seconds)} |`,
  )
  .join('\n')}
`
}

function whatOf(schedule: Schedule): string {
  if (schedule.task === 'prune') return 'remove what is not kept'
  const { type, incremental, kind, verify } = schedule
  const how = [...(incremental ? ['what came since the last one'] : []), ...(kind ? [kind] : [])]
  const checked = verify === undefined ? [] : [`verified at level ${verify}`]
  return [`back up, \`${type}\``, ...how, ...checked].join(', ')
}

const whereOf = (schedule: Schedule): string =>
  schedule.task === 'prune' ? 'both' : schedule.to === 'offsite' ? '`BACKUP_OFFSITE`' : '`BACKUP_DIR`'

const counted = (count: number, unit: string): string => `${count} ${unit}${count === 1 ? '' : 's'}`

/** In the largest unit that leaves a whole number. */
function duration(seconds: number): string {
  if (seconds % 3_600 === 0) return counted(seconds / 3_600, 'hour')
  return seconds % 60 === 0 ? counted(seconds / 60, 'minute') : counted(seconds, 'second')
}
