// bench/results.json keeps what was measured, scenario by scenario; bench/results.md is written from it.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { Machine } from './machine.ts'
import { type Bar, isMet, type Outcome } from './scenario.ts'
import { type Spread, spreadOf } from './statistics.ts'

/** One scenario as it is kept. */
export interface Result {
  name: string
  about: string
  machine: Machine
  rounds: number
  seconds: number
  /** Cores that other work kept busy meanwhile. */
  othersCores: number
  bars: Bar[]
  /** By leg and figure. */
  figures: Record<string, Record<string, Spread>>
  notes: string[]
}

const SHARE_WORTH_A_NOTE = 0.4
const SHARE_OF_A_LIMIT = 0.9

/** What is kept of an outcome, with a note where the load generator took much of the machine. */
export function resultOf(
  scenario: { name: string; about: string },
  conditions: Pick<Result, 'machine' | 'seconds' | 'othersCores'>,
  outcome: Outcome,
): Result {
  const { rounds } = outcome
  const figures = Object.fromEntries(
    rounds
      .legs()
      .map(([leg, rows]) => [
        leg,
        Object.fromEntries(
          Object.keys(rows[0] ?? {}).map((name) => [name, spreadOf(rows.map((row) => row[name] ?? Number.NaN))]),
        ),
      ]),
  )
  return {
    name: scenario.name,
    about: scenario.about,
    ...conditions,
    rounds: rounds.count,
    bars: outcome.bars,
    figures,
    notes: [...outcome.notes, ...generatorNotes(figures)],
  }
}

function generatorNotes(figures: Result['figures']): string[] {
  return Object.entries(figures).flatMap(([leg, { generator_cores: cores }]) => {
    if (cores === undefined || !(cores.median > SHARE_WORTH_A_NOTE)) return []
    const limit = cores.median > SHARE_OF_A_LIMIT ? ' and was the limit: the figure is at least this' : ''
    return [`The load generator used ${cores.median.toFixed(2)} of a core in “${leg}”${limit}.`]
  })
}

/** Puts new results among those that are kept, in the order of `names`, and writes both files. */
export function keepResults(folder: string, names: string[], results: Result[]): void {
  const file = `${folder}/results.json`
  const kept = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Result[]) : []
  const merged = names.flatMap(
    (name) => results.find((each) => each.name === name) ?? kept.find((each) => each.name === name) ?? [],
  )
  writeFileSync(file, `${JSON.stringify(merged, null, 2)}\n`)
  writeFileSync(`${folder}/results.md`, markdown(merged))
}

/** The page of results. */
export function markdown(results: Result[]): string {
  const machine = results.map((result) => result.machine).reduce((a, b) => (a.date > b.date ? a : b))
  return [
    '# Benchmark results',
    '',
    'Written by `npm run bench`; how it measures is in [docs/how-to/benchmark.md](../docs/how-to/benchmark.md).',
    'Both sides of a ratio are measured in turns in the same run, on the same server and machine. Ratios are taken',
    'within each round; what stands here is the median of the rounds, with the smallest and the largest.',
    '',
    ...machineTable(machine),
    '',
    '## Bars',
    '',
    '| what | against | reached | bar | aim | met |',
    '|---|---|---|---|---|---|',
    ...results.flatMap((result) => result.bars.map(barRow)),
    ...results.flatMap((result) => section(result, machine)),
    '',
  ].join('\n')
}

const machineTable = (machine: Machine): string[] => [
  '| | |',
  '|---|---|',
  `| date | ${machine.date} UTC |`,
  `| Annals | ${machine.annals} |`,
  `| Node | ${machine.node} |`,
  `| PostgreSQL | ${machine.postgresql} (${machine.postgresqlSettings}) |`,
  `| kernel | ${machine.kernel} |`,
  `| machine | ${machine.cores} cores (${machine.processor}), ${machine.memory} |`,
]

function barRow(bar: Bar): string {
  const sign = bar.atLeast === undefined ? '≤' : '≥'
  const limit = `${sign} ${bar.atLeast ?? bar.atMost} ${bar.unit}`
  const aim = bar.aim === undefined ? '' : `${sign} ${bar.aim} ${bar.unit}`
  return `| ${bar.what} | ${bar.against} | ${spread(bar.reached)} ${bar.unit} | ${limit} | ${aim} | ${met(bar)} |`
}

const met = (bar: Bar): string => (Number.isFinite(bar.reached.median) ? (isMet(bar) ? 'yes' : '**no**') : '–')

function section(
  { name, about, machine, rounds, seconds, othersCores, figures, notes }: Result,
  latest: Machine,
): string[] {
  const isElsewhere = JSON.stringify({ ...machine, date: '' }) !== JSON.stringify({ ...latest, date: '' })
  return [
    '',
    `## ${name}`,
    '',
    about,
    `${rounds} ${rounds === 1 ? 'round' : 'rounds'}, measured legs of ${seconds} s; ${machine.date} UTC.`,
    `Meanwhile other work kept ${number(othersCores)} cores busy.`,
    ...(isElsewhere ? ['', ...machineTable(machine)] : []),
    '',
    ...figureTable(figures),
    ...notes.flatMap((note) => ['', note]),
  ]
}

/** A row for each leg, a column for each figure that any leg has. */
function figureTable(figures: Result['figures']): string[] {
  const columns = [...new Set(Object.values(figures).flatMap(Object.keys))].filter((column) =>
    Object.values(figures).some((row) => row[column] !== undefined && Number.isFinite(row[column].median)),
  )
  return [
    `| | ${columns.join(' | ')} |`,
    `|---|${columns.map(() => '---|').join('')}`,
    ...Object.entries(figures).map(
      ([leg, row]) => `| ${leg} | ${columns.map((column) => (row[column] ? spread(row[column]) : '')).join(' | ')} |`,
    ),
  ]
}

const spread = ({ median, min, max }: Spread): string =>
  min === max ? number(median) : `${number(median)} (${number(min)} … ${number(max)})`

function number(value: number): string {
  // Processor time is only known on Linux, and JSON keeps NaN as null.
  if (!Number.isFinite(value)) return 'not measured'
  if (value >= 1_000) return Math.round(value).toLocaleString('en')
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(value < 1 ? 3 : 2)
}
