// The rules as Prometheus itself understands them.

import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { stringify } from 'yaml'
import { alertRules } from '../../src/backup/policy/alert-rules.ts'
import { DEFAULT_POLICY } from '../../src/backup/policy/policy.ts'
import { testFolder } from '../support/postgres.ts'

const isPromtoolAbsent =
  spawnSync('promtool', ['--version']).error !== undefined && 'promtool is not installed: apt-get install prometheus'
const HOUR = 3_600
const DAY_HOURS = 24
const SUCCESS = 'backup_last_success_timestamp_seconds{type="archive"}'
const FAILURE = 'backup_last_failure_timestamp_seconds{type="archive"}'
const ARCHIVED = 'backup_wal_last_archived_timestamp_seconds'
const NOT_ARCHIVED = 'backup_wal_last_failure_timestamp_seconds'
const DRILL = 'dr_drill_last_success_timestamp_seconds{scenario="failover"}'

interface Moment {
  title: string
  /** What is scraped, and its value all the time; the clock begins at 0. */
  series: Record<string, number>
  hours: number
  /** Names of the alerts that fire. */
  fire: string[]
}

const fine = { [SUCCESS]: 0, [DRILL]: 0 }
const MOMENTS: Moment[] = [
  { title: 'a backup of 23 h ago is fine', series: fine, hours: 23, fire: [] },
  { title: 'at 24 h and a quarter nothing is said yet', series: fine, hours: 24.25, fire: [] },
  { title: 'at 25 h it is old', series: fine, hours: 25, fire: ['AnnalsBackupOld'] },
  { title: 'at 48.5 h it is not yet critical for an hour', series: fine, hours: 48.5, fire: ['AnnalsBackupOld'] },
  { title: 'at 49.5 h it is critical', series: fine, hours: 49.5, fire: ['AnnalsBackupOld', 'AnnalsBackupVeryOld'] },
  {
    title: 'a success of any other type does not help',
    series: { ...fine, 'backup_last_success_timestamp_seconds{type="schema"}': 25 * HOUR },
    hours: 25,
    fire: ['AnnalsBackupOld'],
  },
  {
    title: 'a failure after the last success is told',
    series: { ...fine, [SUCCESS]: 9 * HOUR, [FAILURE]: 9 * HOUR + 1 },
    hours: 10,
    fire: ['AnnalsBackupFailed'],
  },
  {
    title: 'a failure before the last success is over',
    series: { ...fine, [SUCCESS]: 9 * HOUR + 1, [FAILURE]: 9 * HOUR },
    hours: 10,
    fire: [],
  },
  {
    title: 'a failure without any success is told, and that there is no success',
    series: { [DRILL]: 0, [FAILURE]: HOUR },
    hours: 10,
    fire: ['AnnalsBackupFailed', 'AnnalsBackupUnknown'],
  },
  { title: 'a metric that is gone is told', series: { [DRILL]: 0 }, hours: 2, fire: ['AnnalsBackupUnknown'] },
  {
    title: 'a log that can not be archived is told',
    series: { ...fine, [ARCHIVED]: HOUR, [NOT_ARCHIVED]: 2 * HOUR },
    hours: 3,
    fire: ['AnnalsWalNotArchived'],
  },
  {
    title: 'one that never could is told',
    series: { ...fine, [NOT_ARCHIVED]: 2 * HOUR },
    hours: 3,
    fire: ['AnnalsWalNotArchived'],
  },
  {
    title: 'one that is archived again is fine',
    series: { ...fine, [ARCHIVED]: 2 * HOUR, [NOT_ARCHIVED]: HOUR },
    hours: 3,
    fire: [],
  },
  {
    title: 'a drill of 29 days ago is fine',
    series: { ...fine, [SUCCESS]: 29 * DAY_HOURS * HOUR },
    hours: 29 * DAY_HOURS,
    fire: [],
  },
  {
    title: 'a drill of more than 30 days ago is old',
    series: { ...fine, [SUCCESS]: 30 * DAY_HOURS * HOUR },
    hours: 30 * DAY_HOURS + 2,
    fire: ['AnnalsDrillOld'],
  },
  { title: 'no drill at all is told', series: { [SUCCESS]: 0 }, hours: 2, fire: ['AnnalsDrillOld'] },
  {
    title: 'a recovery point beyond the objective is told',
    series: { ...fine, dr_rpo_seconds_current: 26 * HOUR },
    hours: 2,
    fire: ['AnnalsRecoveryPointMissed'],
  },
  {
    title: 'a recovery that took longer than its objective is told',
    series: { ...fine, 'dr_drill_rto_seconds{scenario="failover"}': 301 },
    hours: 2,
    fire: ['AnnalsRecoveryTimeMissed'],
  },
  {
    title: 'one without an objective of its own has that of all',
    series: { ...fine, 'dr_drill_rto_seconds{scenario="upgrade"}': 4 * HOUR + 1 },
    hours: 2,
    fire: ['AnnalsRecoveryTimeMissed'],
  },
  {
    title: 'one within its objective is fine',
    series: { ...fine, 'dr_drill_rto_seconds{scenario="lost-database"}': 2 * HOUR },
    hours: 2,
    fire: [],
  },
]

const names = (rules: string) => [...new Set([...rules.matchAll(/alert: (\w+)/g)].map(([, name]) => name as string))]

/** What promtool says about `moments`; empty when all is as they say. */
function judge(folder: string, file: string, moments: Moment[], all: string[]): string {
  const tests = moments.map(({ title, series, hours, fire }) => ({
    name: title,
    interval: '5m',
    input_series: Object.entries(series).map(([name, value]) => ({
      series: name,
      values: `${value}x${Math.ceil(hours * 12) + 12}`,
    })),
    // Whether one fires, whatever its labels.
    promql_expr_test: all.map((alert) => ({
      expr: `count(count by (alertname) (ALERTS{alertname="${alert}",alertstate="firing"}))`,
      eval_time: `${Math.round(hours * 60)}m`,
      exp_samples: fire.includes(alert) ? [{ labels: '{}', value: 1 }] : [],
    })),
  }))
  const path = join(folder, 'test.yml')
  writeFileSync(path, stringify({ rule_files: [file], evaluation_interval: '15m', tests }))
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', path], { encoding: 'utf8' })
  return status === 0 ? '' : stdout + stderr
}

t.test('The rules fire when they should, and only then', { skip: isPromtoolAbsent }, async (t) => {
  const folder = testFolder(t)
  const file = resolve('deploy/prometheus/backup.rules.yml')
  execFileSync('promtool', ['check', 'rules', file])
  const all = names(alertRules(DEFAULT_POLICY))
  t.equal(judge(folder, file, MOMENTS, all), '')
  t.same(
    all.filter((alert) => !MOMENTS.some(({ fire }) => fire.includes(alert))),
    [],
    'there is a moment for each alert',
  )

  for (const moment of MOMENTS.filter(({ hours }) => hours < 100)) {
    const contrary = { ...moment, fire: moment.fire.length === 0 ? all.slice(0, 1) : [] }
    t.not(judge(folder, file, [contrary], all), '', `not the contrary of: ${moment.title}`)
  }
})

t.test('Another policy has other rules', { skip: isPromtoolAbsent }, async (t) => {
  const folder = testFolder(t)
  const file = join(folder, 'rules.yml')
  const alerts = { warn_after_hours: 2, critical_after_hours: 4, drill_within_days: 7 }
  const hourly = (type: string) => ({ name: type, cron: '0 * * * *', task: 'create' as const, type })
  const [full, redis] = ['full', 'redis'].map((type) => `backup_last_success_timestamp_seconds{type="${type}"}`)
  const old = ['AnnalsBackupOld', 'AnnalsBackupVeryOld']
  const judged = (types: string[], series: Moment['series'], fire: string[]) => {
    writeFileSync(file, alertRules({ ...DEFAULT_POLICY, alerts, schedules: types.map(hourly) }))
    return judge(folder, file, [{ title: 'at 3 h', series: { [DRILL]: 0, ...series }, hours: 3, fire }], old)
  }
  t.equal(judged(['full'], { [full as string]: 0 }, ['AnnalsBackupOld']), '')
  const fresh = { [full as string]: 0, [redis as string]: 3 * HOUR }
  t.equal(judged(['full', 'redis'], fresh, ['AnnalsBackupOld']), '', 'counters are no backup of events')
  t.equal(judged(['redis'], fresh, ['AnnalsBackupOld']), '')
})
