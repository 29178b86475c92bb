// The first step of any recovery: what is known, in one document, with whatever can't be had left out in words.

import { readFileSync, statfsSync } from 'node:fs'
import { freemem, loadavg, totalmem, uptime } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { type BackupFigures, readBackupFigures, WITHOUT_EVENTS } from '../../db/backup/backup-figures.ts'
import { readHead } from '../../db/backup/read-store.ts'
import { connectToStore } from '../../db/backup/store-connection.ts'
import type { Settings } from '../../settings.ts'
import { type CatalogueEntry, readCatalogue } from '../catalogue.ts'
import type { Desk } from '../desk.ts'
import type { BackupPolicy } from '../policy/policy.ts'

const TAIL_LINES = 20
const SHOWN_BACKUPS = 5

export interface AssessOptions {
  settings: Readonly<Settings>
  policy: Readonly<BackupPolicy>
}

/** Throws nothing for what is broken: that is what it is asked about. */
export async function assess(desk: Desk, { settings, policy }: AssessOptions): Promise<object> {
  const { postgresql, figures } = await postgresState(desk)
  const backups = await readCatalogue(desk).catch((error: Error) => ({
    entries: [],
    attested: [],
    faults: [error.message],
  }))
  const point = figures?.recovery_point ?? null
  const rpo = point === null ? null : Math.round(Date.now() / 1000 - point)
  return {
    at: new Date().toISOString(),
    machine: {
      load: loadavg(),
      memory: { total_bytes: totalmem(), free_bytes: freemem() },
      uptime_seconds: Math.round(uptime()),
      disks: { data: diskOf(settings.DATA_DIR), backups: diskOf(settings.BACKUP_DIR) },
    },
    postgresql,
    log_tail: settings.DATABASE_URL === undefined ? logTail(join(settings.DATA_DIR, 'postgres.log')) : null,
    backups: {
      place: desk.destination.name,
      newest: backups.entries.slice(0, SHOWN_BACKUPS),
      newest_verified: backups.entries.find(isVerifiedStore)?.id ?? null,
      attested: backups.attested,
      faults: backups.faults,
    },
    drills: figures?.drills ?? null,
    objectives: {
      ...policy.objectives,
      rpo_seconds_current: rpo,
      // By what is attested and was never read, so it meets nothing.
      rpo_seconds_attested: ageOf(backups.attested[0]?.shows_to),
      is_rpo_met: rpo === null ? null : rpo <= policy.objectives.rpo_seconds,
    },
  }
}

const isVerifiedStore = ({ state, verified, type }: CatalogueEntry): boolean =>
  state === 'complete' && verified !== null && !WITHOUT_EVENTS.includes(type)

async function postgresState({ store }: Desk): Promise<{ postgresql: object; figures?: BackupFigures }> {
  if (store === undefined)
    return { postgresql: { is_reachable: false, why: 'no database is named, and none runs here' } }
  try {
    const client = await connectToStore(store, 'assess')
    try {
      const head = await readHead(client, store.schema)
      const figures = await readBackupFigures((text, values) => client.query(text, values), store.schema)
      return { postgresql: { is_reachable: true, schema: store.schema, ...head }, figures }
    } finally {
      await client.end()
    }
  } catch (error) {
    return { postgresql: { is_reachable: false, why: (error as Error).message } }
  }
}

const ageOf = (moment: string | undefined): number | null =>
  moment === undefined ? null : Math.max(Math.round((Date.now() - Date.parse(moment)) / 1000), 0)

/** Of the folder, or of the nearest one above it that is there. */
function diskOf(folder: string): object {
  for (let path = resolve(folder); ; path = dirname(path)) {
    try {
      const { bavail, blocks, bsize } = statfsSync(path)
      return { path, free_bytes: bavail * bsize, total_bytes: blocks * bsize }
    } catch (error) {
      if (path === dirname(path)) return { path, why: (error as Error).message }
    }
  }
}

function logTail(file: string): string[] | null {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-TAIL_LINES)
  } catch {
    return null
  }
}
