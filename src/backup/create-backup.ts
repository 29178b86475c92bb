// Making a backup, whatever its type: it is there whole, hashed and written down, or nothing of it is left.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { putBackup } from '../db/backup/backup-records.ts'
import { readOrigin } from '../db/backup/describe-database.ts'
import { VERSION } from '../version.ts'
import { asBackupError, BackupError } from './backup-error.ts'
import { checkOptions } from './check-options.ts'
import type { Desk } from './desk.ts'
import type { Staged } from './destinations/destination.ts'
import type { BackupDriver, CreateOptions, JobContext } from './driver.ts'
import { driverOf } from './drivers.ts'
import { MANIFEST_FILE, type Manifest, manifestHash, manifestText, sizeOf } from './manifest.ts'
import { listFiles } from './open/check-files.ts'
import { openChain } from './open/open-chain.ts'
import { type JobCatalogue, runJob } from './run-job.ts'

export interface BackupRequest {
  type: string
  /** Only what came after this backup. */
  since?: string
  options: CreateOptions
}

/** What can be said of a request without a database. @throws BackupError `refused`, OptionError */
export function checkRequest({ type, since, options }: BackupRequest): BackupDriver {
  const driver = driverOf(type)
  if (since !== undefined && !driver.isIncremental) {
    throw new BackupError('refused', `a backup of type ${type} can't add to another one`)
  }
  checkOptions(driver, options)
  return driver
}

/** @throws BackupError */
export async function createBackup(
  desk: Desk,
  request: BackupRequest,
  context: JobContext & { onStarted?(jobId: string): void },
): Promise<Manifest> {
  const driver = checkRequest(request)
  if (desk.store === undefined) throw new BackupError('refused', 'there is no database to back up: set DATABASE_URL')
  const definition = { kind: 'create', backupId: null, request: { ...request } } as const
  const { manifest } = await runJob(desk.store, definition, context, async (context, catalogue) => {
    const staged = await desk.destination.stage()
    const manifest = await fill(desk, driver, request, { staged, context, catalogue: catalogue as JobCatalogue })
    return { manifest, backupId: manifest.id, result: { files: manifest.files.length, bytes: sizeOf(manifest) } }
  })
  return manifest
}

interface Filling {
  staged: Staged
  context: JobContext
  catalogue: JobCatalogue
}

async function fill(desk: Desk, driver: BackupDriver, request: BackupRequest, filling: Filling): Promise<Manifest> {
  const { staged, context, catalogue } = filling
  const { query, store } = catalogue
  const record = {
    ...{ id: staged.id, type: driver.type, destination: desk.destination.name, started_at: new Date().toISOString() },
    ...{ finished_at: null, bytes: null, manifest: null, manifest_sha256: null, error: null },
  }
  const chain = request.since === undefined ? undefined : await openChain(desk.destination, request.since, context)
  try {
    await putBackup(query, store.schema, { ...record, state: 'running' })
    const bases = chain?.backups ?? []
    refuseBases(
      driver,
      bases.map(({ manifest }) => manifest),
    )
    const created = await driver.create({
      ...context,
      ...{ id: staged.id, folder: staged.folder, source: store, bases, options: request.options },
    })
    const server = await readOrigin(query)
    const manifest: Manifest = {
      ...{ format: 1, id: staged.id, type: driver.type },
      ...{ started_at: record.started_at, finished_at: new Date().toISOString() },
      ...{ annals_version: VERSION, tool: created.tool, postgresql_version: server.version },
      ...{ database: server.database, schema: store.schema, base: request.since ?? null },
      contents: created.contents,
      files: await listFiles(staged.folder, created.files ?? [], context.signal),
      details: created.details,
    }
    const text = manifestText(manifest)
    await writeFile(join(staged.folder, MANIFEST_FILE), text, { flag: 'wx' })
    await staged.commit(context)
    await putBackup(query, store.schema, {
      ...record,
      ...{ state: 'complete', finished_at: manifest.finished_at, bytes: sizeOf(manifest) },
      ...{ manifest, manifest_sha256: manifestHash(text) },
    })
    return manifest
  } catch (error) {
    await staged.discard()
    const { message } = asBackupError(error, context.signal)
    const failure = { ...record, state: 'failed', finished_at: new Date().toISOString(), error: message } as const
    await putBackup(query, store.schema, failure).catch(() => {})
    throw error
  } finally {
    await chain?.release()
  }
}

function refuseBases({ type }: BackupDriver, bases: Manifest[]): void {
  const other = bases.find((base) => base.type !== type)
  if (other === undefined) return
  throw new BackupError('refused', `${other.id} is of type ${other.type}; a backup of type ${type} can't add to it`)
}
