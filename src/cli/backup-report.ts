// Backups in words, for the terminal.

import type { CatalogueEntry } from '../backup/catalogue.ts'
import type { BackupDriver } from '../backup/driver.ts'
import { type Manifest, sizeOf } from '../backup/manifest.ts'
import type { Tested } from '../backup/test-backup.ts'
import type { JobRecord } from '../db/backup/backup-records.ts'
import { count } from './progress.ts'
import { showBytes } from './quantities.ts'
import { table } from './table.ts'

/** What was made, in one line. */
export function describeManifest(manifest: Manifest): string {
  const { id, type, contents, base } = manifest
  const what = contents === null ? '' : `, ${count(contents.events)} events up to position ${count(contents.head)}`
  return `${id}: ${type}${base === null ? '' : ` since ${base}`}, ${showBytes(sizeOf(manifest))}${what}`
}

export function describeCatalogue(entries: CatalogueEntry[]): string {
  if (entries.length === 0) return 'there are no backups'
  return table(
    ['id', 'type', 'state', 'size', 'events', 'since', 'verified', 'tested'],
    entries.map((entry) => [
      ...[entry.id, entry.type, entry.state, entry.bytes === null ? '' : showBytes(entry.bytes)],
      ...[entry.events === null ? '' : count(entry.events), entry.base ?? ''],
      ...[entry.verified === null ? 'no' : `level ${entry.verified.level}`, entry.tested_at?.slice(0, 10) ?? 'no'],
    ]),
  )
}

export function describeBackup(manifest: Manifest, entry: CatalogueEntry | undefined): string {
  const { contents } = manifest
  const lines: [string, string][] = [
    ['id', manifest.id],
    ['type', `${manifest.type}, by ${manifest.tool}`],
    ['of', `schema ${manifest.schema} of database ${manifest.database}, PostgreSQL ${manifest.postgresql_version}`],
    ['made', `${manifest.started_at} to ${manifest.finished_at}`],
    ['adds to', manifest.base ?? 'nothing, it is whole'],
    ['files', `${count(manifest.files.length)}, ${showBytes(sizeOf(manifest))}`],
    ['verified', entry?.verified ? `level ${entry.verified.level}, ${entry.verified.at}` : 'no'],
    ['tested', entry?.tested_at ?? 'no'],
  ]
  if (contents !== null) {
    lines.push(
      ['events', `${count(contents.events)}, up to position ${count(contents.head)}`],
      ['snapshots', count(contents.snapshots)],
      ['epoch', contents.epoch ?? 'none'],
      ['digest', contents.events_digest],
    )
  }
  return lines.map(([name, value]) => `${name.padEnd(10)}${value}`).join('\n')
}

export function describeTypes(types: ({ type: string } & BackupDriver['about'])[]): string {
  return types
    .map(({ type, summary, advantages, disadvantages, needs }) =>
      [
        `${type}: ${summary}`,
        ...advantages.map((line) => `  + ${line}`),
        ...disadvantages.map((line) => `  - ${line}`),
        ...needs.map((line) => `  needs ${line}`),
      ].join('\n'),
    )
    .join('\n\n')
}

/** What the drill found, in one line. */
export function describeTest(tested: Tested): string {
  const { id, scratch, seconds } = tested
  if (tested.scratch === 'server')
    return `${id} came back in ${seconds} s on a server of its own: ${describeFound(tested.found)}`
  const { events, snapshots, compared } = tested
  const live =
    compared === null ? 'the live store has another history' : `${count(compared)} events are as in the live store`
  return `${id} came back in ${seconds} s into a scratch ${scratch}: ${count(events)} events, ${count(snapshots)} snapshots, all digests as written down; ${live}`
}

/** `keys: 3, expired: 1, counters: 2`. */
export const describeFound = (found: Record<string, number>): string =>
  Object.entries(found)
    .map(([name, value]) => `${name}: ${count(value)}`)
    .join(', ')

export function describeJobs(jobs: JobRecord[]): string {
  if (jobs.length === 0) return 'nothing was done yet'
  return table(
    ['started', 'kind', 'backup', 'state', 'by', ''],
    jobs.map((job) => [
      ...[`${job.started_at.slice(0, 19)}Z`, job.kind, job.backup_id ?? '', job.state, job.run_by],
      job.error?.split('\n')[0] ?? '',
    ]),
  )
}
