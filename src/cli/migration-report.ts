// What the migration commands print for people.

import type { Verification } from '../db/migrations/migration-checks.ts'
import type { MigrationEntry, MigrationStatus } from '../db/migrations/migration-ledger.ts'
import type { AppliedMigration } from '../db/migrations/migrator.ts'

const HEADLINES: Record<MigrationStatus['status'], string> = {
  up_to_date: 'up to date',
  pending: 'migrations are pending',
  drift: 'the database and the migrations differ',
  newer: 'the database is newer than this version',
}

/** A headline and a table, one line a migration, with what has to be known about it below. */
export function describeStatus(status: MigrationStatus): string {
  const { migrations, current, latest } = status
  const widest = (least: number, cells: string[]): number => Math.max(least, ...cells.map(({ length }) => length))
  const nameWidth = widest(
    4,
    migrations.map(({ name }) => name),
  )
  const byWidth = widest(
    2,
    migrations.map(({ applied_by: by }) => by ?? ''),
  )
  const columns = ([name = '', state = '', at = '', duration = '', by = '', description = '']: string[]): string =>
    [name.padEnd(nameWidth), state.padEnd(7), at.padEnd(20), duration.padStart(8), by.padEnd(byWidth), description]
      .join('  ')
      .trimEnd()
  const lines = migrations.flatMap((entry) => [
    columns([
      entry.name,
      entry.state,
      entry.applied_at === null ? '' : `${entry.applied_at.slice(0, 19)}Z`,
      entry.duration_ms === null ? '' : `${entry.duration_ms} ms`,
      entry.applied_by ?? '',
      entry.description ?? '',
    ]),
    ...remarks(entry).map((remark) => `  ${remark}`),
  ])
  return [
    `${HEADLINES[status.status]}: the database is at ${current}, the migrations go to ${latest}`,
    columns(['name', 'state', 'applied at', 'duration', 'by', 'description']),
    ...lines,
  ].join('\n')
}

/** What was found, a line each. */
export function describeVerification({ status, differences, faults, isSound }: Verification): string {
  if (differences === null) return describeStatus(status)
  if (isSound) return `sound: ${status.migrations.length} migrations, every object, and the head are as they should be`
  return [
    ...differences.map(({ object, problem, expected, found }) =>
      problem === 'missing' ? `missing: ${object} (${expected})` : `different: ${object}: ${found}, not ${expected}`,
    ),
    ...faults.map((fault) => `fault: ${fault}`),
  ].join('\n')
}

/** `2 migrations applied`. */
export function summary(migrations: AppliedMigration[], verb: string): string {
  if (migrations.length === 0) return 'nothing to do'
  return `${migrations.length} ${migrations.length === 1 ? 'migration' : 'migrations'} ${verb}`
}

function remarks({ state, breaking, failure, note }: MigrationEntry): string[] {
  return [
    ...(state === 'pending' && breaking !== null ? [`breaking: ${breaking}`] : []),
    ...(failure === null ? [] : [`failed at ${failure.at}: ${failure.error}`]),
    ...(note === null ? [] : note.split('\n').map((line) => `note: ${line}`)),
  ]
}
