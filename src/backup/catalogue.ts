// Every backup that is known: from the files, and from the catalogue in the store where that can be had.

import { type Attestation, listAttestations } from '../db/backup/attestation-records.ts'
import {
  type BackupRecord,
  type BackupState,
  type JobRecord,
  listBackups,
  listJobs,
} from '../db/backup/backup-records.ts'
import type { StoreAddress } from '../db/backup/store-connection.ts'
import type { RunQuery } from '../db/run-query.ts'
import { asBackupError, BackupError } from './backup-error.ts'
import type { Desk } from './desk.ts'
import { type Manifest, manifestHash, sizeOf } from './manifest.ts'
import { openCatalogue } from './run-job.ts'

// More is history that no list is for.
const MAX_JOBS = 1_000

export interface CatalogueEntry {
  id: string
  type: string
  /** `missing`: written down as complete, and its files are not there. */
  state: BackupState | 'missing'
  destination: string
  started_at: string
  finished_at: string | null
  bytes: number | null
  base: string | null
  events: number | null
  head: number | null
  /** Highest level that it passed, and when; null when it never did, or the store can't say. */
  verified: { level: number; at: string } | null
  /** When it was last restored for a test and compared. */
  tested_at: string | null
  error: string | null
}

export interface Catalogue {
  /** The newest first. */
  entries: CatalogueEntry[]
  /** Backups that were made elsewhere, as somebody says: the newest moment first. No entry, since none was ever read. */
  attested: Attestation[]
  /** What was found and can't be read, and why something is not known. */
  faults: string[]
}

/** Reads both sides; a database that is away leaves the files. */
export async function readCatalogue(desk: Desk): Promise<Catalogue> {
  const { backups, faults } = await desk.destination.list()
  const { records, jobs, attested, fault } = await readRecords(desk)
  if (fault !== undefined) faults.push(fault)
  const entries = new Map<string, CatalogueEntry>()
  for (const record of records) {
    const isHere = record.destination === desk.destination.name
    const isGone = isHere && record.state === 'complete'
    entries.set(record.id, toEntry(record, isGone ? 'missing' : record.state, jobs))
  }
  for (const { manifest, text } of backups) {
    const known = records.find(({ id }) => id === manifest.id)
    if (known?.manifest_sha256 !== undefined && known.manifest_sha256 !== null) {
      if (known.manifest_sha256 !== manifestHash(text)) {
        faults.push(`the manifest of ${manifest.id} is not the one that the catalogue knows`)
      }
    }
    entries.set(manifest.id, toEntry(recordOf(manifest, desk.destination.name), 'complete', jobs))
  }
  return { entries: [...entries.values()].toSorted((a, b) => (a.id < b.id ? 1 : -1)), attested, faults }
}

/** What was done, the newest first. @throws BackupError `refused` without a store that has a catalogue */
export async function readJobs(desk: Desk, filter: { id?: string; backupId?: string }): Promise<JobRecord[]> {
  const { store } = desk
  if (store === undefined) throw new BackupError('refused', 'jobs are written down in the store: set DATABASE_URL')
  return withQuery(store, desk.query, (query) => listJobs(query, store.schema, { ...filter, limit: MAX_JOBS }))
}

interface Records {
  records: BackupRecord[]
  jobs: JobRecord[]
  attested: Attestation[]
  fault?: string
}

const NOTHING: Records = { records: [], jobs: [], attested: [] }

async function readRecords({ store, query }: Desk): Promise<Records> {
  if (store === undefined) return NOTHING
  try {
    return await withQuery(store, query, async (query) => ({
      records: await listBackups(query, store.schema),
      jobs: await listJobs(query, store.schema, { limit: MAX_JOBS }),
      attested: await listAttestations(query, store.schema),
    }))
  } catch (error) {
    const { message } = asBackupError(error)
    return { ...NOTHING, fault: `the catalogue in the database can't be read: ${message}` }
  }
}

/** Over the connection that is there, or over one for this. @throws BackupError `refused` when there is no catalogue */
async function withQuery<T>(
  store: StoreAddress,
  open: RunQuery | undefined,
  work: (query: RunQuery) => Promise<T>,
): Promise<T> {
  if (open !== undefined) return work(open)
  const client = await openCatalogue(store)
  try {
    return await work((text, values) => client.query(text, values))
  } finally {
    await client.end().catch(() => {})
  }
}

const recordOf = (manifest: Manifest, destination: string): BackupRecord => ({
  ...{ id: manifest.id, type: manifest.type, destination, state: 'complete', manifest, error: null },
  ...{ started_at: manifest.started_at, finished_at: manifest.finished_at },
  ...{ bytes: sizeOf(manifest), manifest_sha256: null },
})

function toEntry(record: BackupRecord, state: CatalogueEntry['state'], jobs: JobRecord[]): CatalogueEntry {
  const manifest = record.manifest as Manifest | null
  const passed = jobs.filter(({ backup_id: id, state }) => id === record.id && state === 'succeeded')
  const levels = passed.filter(({ kind }) => kind === 'verify')
  const level = Math.max(...levels.map(({ result }) => Number(result?.['level'] ?? 0)))
  const best = levels.find(({ result }) => Number(result?.['level']) === level)
  return {
    ...{ id: record.id, type: record.type, state, destination: record.destination },
    ...{ started_at: record.started_at, finished_at: record.finished_at, bytes: record.bytes },
    base: manifest?.base ?? null,
    events: manifest?.contents?.events ?? null,
    head: manifest?.contents?.head ?? null,
    verified: best === undefined ? null : { level, at: best.finished_at as string },
    tested_at: passed.find(({ kind }) => kind === 'test')?.finished_at ?? null,
    error: record.error,
  }
}
