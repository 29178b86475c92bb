// One thing done with backups: alone on its store, written down while it runs and when it has ended.

import { hostname } from 'node:os'
import type pg from 'pg'
import { finishJob, type JobKind, noteProgress, startJob } from '../db/backup/backup-records.ts'
import { connectToStore, hasCatalogue, type StoreAddress, tryLockForJob } from '../db/backup/store-connection.ts'
import type { RunQuery } from '../db/run-query.ts'
import { asBackupError, BackupError } from './backup-error.ts'
import type { JobContext } from './driver.ts'
import type { Progress } from './progress.ts'

export interface JobDefinition {
  kind: JobKind
  backupId: string | null
  /** What was asked for, for the record; no secrets. */
  request: Record<string, unknown>
}

/** The catalogue of the store that the job works on; undefined without a store. */
export interface JobCatalogue {
  query: RunQuery
  store: StoreAddress
  client: pg.Client
}

const NOTE_MS = 1_000

/**
 * Runs `work` and records it; `onStarted` is told the id of the job.
 * @throws BackupError `locked` while another job works on the store, and what `work` throws
 */
export async function runJob<T extends { backupId?: string | null; result: Record<string, unknown> }>(
  store: StoreAddress | undefined,
  definition: JobDefinition,
  context: JobContext & { onStarted?(jobId: string): void },
  work: (context: JobContext, catalogue: JobCatalogue | undefined) => Promise<T>,
): Promise<T> {
  if (store === undefined) return work(context, undefined)
  const client = await openCatalogue(store)
  const query: RunQuery = (text, values) => client.query(text, values)
  const { schema } = store
  try {
    if (!(await tryLockForJob(client, schema))) {
      throw new BackupError('locked', 'another backup job is running on this store; see `annals backup jobs`')
    }
    const id = await startJob(query, schema, { ...definition, by: `@${hostname()}/annals/${process.pid}` })
    context.onStarted?.(id)
    let latest: Progress | undefined
    const noting = setInterval(() => {
      void noteProgress(query, schema, id, latest).catch(() => {})
    }, NOTE_MS)
    const finish = (state: 'succeeded' | 'failed' | 'stopped', done: Partial<T>, error: string | null) =>
      finishJob(query, schema, id, {
        ...{ state, error },
        backupId: done.backupId ?? definition.backupId,
        result: done.result ?? null,
      })
    try {
      const progress = (now: Progress) => {
        latest = now
        context.progress(now)
      }
      const done = await work({ ...context, progress }, { query, store, client })
      await finish('succeeded', done, null)
      return done
    } catch (error) {
      const failure = asBackupError(error, context.signal)
      await finish(failure.kind === 'stopped' ? 'stopped' : 'failed', {}, describeFailure(failure)).catch(() => {})
      throw failure
    } finally {
      clearInterval(noting)
    }
  } finally {
    await client.end().catch(() => {})
  }
}

/** A connection to a store that has a catalogue. @throws BackupError `refused` */
export async function openCatalogue(store: StoreAddress): Promise<pg.Client> {
  const client = await connectToStore(store, 'backup catalogue').catch((error: unknown) => {
    throw asBackupError(error)
  })
  if (await hasCatalogue(client, store.schema)) return client
  await client.end()
  throw new BackupError(
    'refused',
    `the schema ${store.schema} has no catalogue of backups: run \`annals migrate up\` first`,
  )
}

const describeFailure = ({ message, evidence }: BackupError): string => [message, ...evidence].join('\n')
