// Stores with something in them, and places for backups of them.

import { join } from 'node:path'
import { BackupError } from '../../src/backup/backup-error.ts'
import { createBackup } from '../../src/backup/create-backup.ts'
import type { Desk } from '../../src/backup/desk.ts'
import { openDestination } from '../../src/backup/destinations/destinations.ts'
import type { JobContext } from '../../src/backup/driver.ts'
import { type RestoreMode, restoreBackup } from '../../src/backup/restore/restore-backup.ts'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { runSql, type Teardown, type TestDatabase, testFolder, withDatabase } from './postgres.ts'

let databases = 0

/** A further empty database on the server of a test database. */
export async function newDatabase(test: Teardown, server: Pick<TestDatabase, 'url' | 'name'>): Promise<string> {
  const name = `${server.name}_${++databases}`
  await runSql(server.url, `CREATE DATABASE ${name}`)
  test.teardown(() => runSql(server.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  return withDatabase(server.url, name)
}

/** A TMPDIR for this test alone. */
export function temporaryFolder(test: Teardown): string {
  const before = process.env['TMPDIR']
  const folder = testFolder(test)
  process.env['TMPDIR'] = folder
  test.teardown(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  })
  return folder
}

export interface TestDesk {
  desk: Desk
  url: string
  folder: string
}

/** A migrated store with 500 events in several streams, of all shapes that columns can have, and a folder for backups. */
export async function newDesk(test: Teardown, server: Pick<TestDatabase, 'url' | 'name'>): Promise<TestDesk> {
  const url = await newDatabase(test, server)
  await runMigrations(url)
  await appendRows(url, 500)
  await runSql(
    url,
    `INSERT INTO snapshots (stream_id, version, state_data) VALUES ('order-1', 3, '\\x00ff'), ('order-2', 1, '{}')`,
  )
  const folder = join(testFolder(test), 'backups')
  return { desk: { destination: openDestination(folder), store: { url, schema: 'public' } }, url, folder }
}

/** Appends by plain SQL, spread over seven streams. */
export const appendRows = (url: string, events: number): Promise<unknown> =>
  runSql(
    url,
    `INSERT INTO events (stream_id, version, event_type, event_data, metadata, content_type, is_json)
     SELECT 'order-' || i % 7, (SELECT coalesce(max(version), 0) FROM events WHERE stream_id = 'order-' || i % 7) + i / 7 + 1,
       'Type' || i % 3, CASE WHEN i % 5 = 0 THEN '\\x00fe' ELSE convert_to(format('{"n":%s}', i), 'UTF8') END,
       CASE WHEN i % 4 = 0 THEN jsonb_build_object('k', i) END, CASE WHEN i % 11 = 0 THEN 'text/x' END, i % 5 <> 0
     FROM generate_series(0, ${events - 1}) AS i`,
  )

/** A job that nobody watches. */
export const context = (signal = new AbortController().signal): JobContext => ({ signal, progress() {}, log() {} })

export const makeArchive = (desk: Desk, since?: string) =>
  createBackup(desk, { type: 'archive', options: {}, ...(since !== undefined && { since }) }, context())

export const restore = (
  desk: Desk,
  id: string,
  url: string,
  how: RestoreMode = { mode: 'into', isForced: false },
  job = context(),
) => restoreBackup({ id, destination: desk.destination, target: { url, schema: 'public' }, how }, job)

/** Every column of every event, in order. */
export const eventsOf = (url: string) => runSql(url, 'SELECT to_jsonb(e) AS row FROM events e ORDER BY position')

/** What a promise fails with; anything but a BackupError fails the test. */
export async function failure(promise: Promise<unknown>): Promise<BackupError> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (error instanceof BackupError) return error
  throw new Error('it did not fail as it should', { cause: error })
}
