// Recovery to a moment: a new data folder from a base backup and the archived log, checked before anybody connects to it.

import { chownSync } from 'node:fs'
import { appendFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type pg from 'pg'
import { type RowContents, readContents } from '../../db/backup/read-contents.ts'
import { type LocatedEvent, locateEvent, putBackBefore, recoveryFaults } from '../../db/backup/recovery.ts'
import { renewEpoch } from '../../db/backup/write-store.ts'
import { folderInTheWay, handOver, type ServerUser, serverUser } from '../../db/embedded/server-user.ts'
import { Migrator } from '../../db/migrations/migrator.ts'
import { makeFolders } from '../../make-folders.ts'
import { asBackupError, BackupError, describeCause } from '../backup-error.ts'
import type { JobContext } from '../driver.ts'
import type { Manifest } from '../manifest.ts'
import { checkFiles } from '../open/check-files.ts'
import { openChain } from '../open/open-chain.ts'
import { inOwnTransaction } from '../own-transaction.ts'
import { PGBACKREST } from '../pgbackrest/details.ts'
import { archiveGet, restoreBase } from '../pgbackrest/restore-base.ts'
import { baseBackupDetails, onlyBase } from '../physical/base-backup-details.ts'
import { unpackBase } from '../physical/unpack-base.ts'
import { unitOf } from '../progress.ts'
import { runJob } from '../run-job.ts'
import { type BaseOrder, chooseBase, listBases } from './choose-base.ts'
import { RecoveryServer } from './recovery-server.ts'
import { asSetting, lsnNumber, type OnTarget, type RecoveryTarget } from './recovery-target.ts'

export interface RecoverOrder extends BaseOrder {
  /** For the new data; absent or empty. */
  folder: string
  target: RecoveryTarget
  onTarget: OnTarget
}

export interface Recovered {
  base: string
  folder: string
  /** Where the replay ended, and when the last transaction in it had been committed. */
  lsn: string | null
  time: string | null
  contents: Partial<RowContents>
  /** Events that the target's transaction had stored before it, and that were put back; for a target event. */
  put_back: number
}

/** @throws BackupError; then the folder is empty again */
export async function recover(order: RecoverOrder, context: JobContext): Promise<Recovered> {
  const folder = resolve(order.folder)
  const user = serverUser(folder)
  await refuseFolder(folder, user)
  const site = { folder, user, order, context }
  try {
    const bases = await listBases(order, context)
    if (order.target.kind !== 'event') return await recoverTo(site, chooseBase(bases, order.target), undefined)
    const event = await locate(site, chooseBase(bases, { kind: 'latest' }))
    await empty(folder)
    return await recoverTo(site, chooseBase(bases, { kind: 'position', position: event.position }), event)
  } catch (error) {
    await empty(folder)
    throw asBackupError(error, context.signal)
  }
}

interface Site {
  folder: string
  user: ServerUser | undefined
  order: RecoverOrder
  context: JobContext
}

async function refuseFolder(folder: string, user: ServerUser | undefined): Promise<void> {
  try {
    makeFolders(folder, 0o700)
  } catch (cause) {
    throw new BackupError('refused', `${folder} can't be made: ${describeCause(cause)}`, { cause })
  }
  if ((await readdir(folder)).length > 0) {
    throw new BackupError('refused', `${folder} is not empty; a recovery makes a new data folder. Nothing was changed`)
  }
  const barrier =
    user === undefined ? undefined : folderInTheWay(join(folder, 'PG_VERSION'), { ...user, name: user.name })
  if (barrier === undefined || barrier === folder) return
  throw new BackupError(
    'refused',
    `PostgreSQL runs as ${user?.name}, who may not enter ${barrier}: choose another folder`,
  )
}

async function empty(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true })
}

/** Replays all of the log in a first run, to see which transaction stored the event, and what it stored before it. */
async function locate(site: Site, base: Manifest): Promise<LocatedEvent> {
  const { order, context } = site
  const { event } = order.target as Extract<RecoveryTarget, { kind: 'event' }>
  return onServer(site, base, { settings: {}, step: 'looking for the event' }, async (server, progress) => {
    await server.reach(({ is_recovering: isRecovering }) => !isRecovering, context.signal, progress)
    const store = { url: server.url, schema: base.schema }
    const found = await inOwnTransaction(
      store,
      { purpose: 'restore', mode: 'write', signal: context.signal },
      (client) => locateEvent(client, base.schema, event),
    )
    if (found !== undefined) return found
    throw new BackupError('not_found', `there is no event ${event.stream}@${event.version} in the log that is archived`)
  })
}

async function recoverTo(site: Site, base: Manifest, event: LocatedEvent | undefined): Promise<Recovered> {
  const { folder, order, context } = site
  const { onTarget, target } = order
  const settings = targetSettings(target, event)
  const done = { base: base.id, folder, put_back: 0 }
  const action = onTarget === 'promote' ? 'promote' : 'pause'
  const recovered = await onServer(
    site,
    base,
    { settings: { ...settings, recovery_target_action: action }, step: 'replaying the log' },
    async (server, progress): Promise<Recovered> => {
      const isThere = ({
        is_recovering: isRecovering,
        is_paused: isPaused,
      }: {
        is_recovering: boolean
        is_paused: boolean
      }) => (action === 'promote' ? !isRecovering : isPaused)
      const { lsn, time } = await server.reach(isThere, context.signal, progress)
      if (action === 'pause') return { ...done, lsn, time, contents: {} }
      const store = { url: server.url, schema: base.schema }
      const definition = { kind: 'restore', backupId: base.id, request: { mode: 'pitr', ...target } } as const
      const { result } = await runJob(store, definition, context, async (context) => {
        const contents = await inOwnTransaction(
          store,
          { purpose: 'restore', mode: 'write', signal: context.signal },
          async (client) => {
            if (event !== undefined && event.before.rows > 0) await putBackBefore(client, base.schema, event)
            else await renewEpoch(client, base.schema)
            return check(client, base.schema, target, context)
          },
        )
        await checkObjects(store)
        return { result: { ...done, lsn, time, contents, put_back: event?.before.rows ?? 0 } }
      })
      return result
    },
  ).catch((error: unknown) => {
    throw explain(error, target)
  })
  if (onTarget !== 'promote')
    await leaveInRecovery(site, {
      restore_command: restoreCommand(site, base),
      ...settings,
      recovery_target_action: onTarget,
    })
  return recovered
}

function targetSettings(target: RecoveryTarget, event: LocatedEvent | undefined): Record<string, string> {
  switch (target.kind) {
    case 'latest':
      return {}
    case 'time':
      return { recovery_target_time: asSetting(target.time) }
    case 'lsn':
      return { recovery_target_lsn: target.lsn }
    case 'event':
      // Stops before the record that commits this transaction, after all that were committed before it.
      return { recovery_target_xid: event?.xid ?? '', recovery_target_inclusive: 'off' }
  }
}

async function onServer<T>(
  site: Site,
  base: Manifest,
  { settings, step }: { settings: Record<string, string>; step: string },
  work: (server: RecoveryServer, progress: (state: { lsn: string | null }) => void) => Promise<T>,
): Promise<T> {
  const { folder, user, order, context } = site
  const details = baseBackupDetails(base)
  const chain = await openChain(order.destination, base.id, context)
  try {
    const backup = onlyBase(chain.backups)
    await checkFiles(backup, context)
    if (base.type === PGBACKREST) await restoreBase(backup, folder, user, context)
    else await unpackBase(backup, folder, context)
  } finally {
    await chain.release()
  }
  await writeFile(join(folder, 'recovery.signal'), '')
  if (user !== undefined) {
    // In the second run the folder is the user's already, and what was unpacked into it is not.
    chownSync(folder, 0, 0)
    handOver(folder, user)
  }
  const server = await RecoveryServer.start({
    ...{
      folder,
      user,
      major: details.major,
      pgBin: context.pgBin,
      superuser: details.superuser,
      database: base.database,
    },
    // Without a command recovery is refused; this one has nothing.
    settings: { restore_command: restoreCommand(site, base), ...settings },
  })
  try {
    const start = lsnNumber(details.start_lsn)
    return await work(server, ({ lsn }) => {
      const done = lsn === null ? 0 : Number(lsnNumber(lsn) - start)
      context.progress({ step, unit: 'bytes', done: Math.max(done, 0), total: null })
    })
  } finally {
    await server.stop()
  }
}

/** @throws BackupError `different` */
async function check(client: pg.Client, schema: string, target: RecoveryTarget, { signal, progress }: JobContext) {
  const evidence = await recoveryFaults(client, schema, target.kind === 'event' ? target.event : undefined)
  if (evidence.length > 0)
    throw new BackupError('different', 'the store is not as it has to be after the recovery', { evidence })
  const onRows = (table: string, done: number) =>
    progress({ step: `reading ${table}`, unit: unitOf(table), done, total: null })
  return readContents(client, schema, { tables: ['events', 'snapshots'], signal, onRows })
}

/** Keys, indexes and triggers. What an older Annals migrated is not known well enough to be compared. */
async function checkObjects({ url, schema }: { url: string; schema: string }): Promise<void> {
  const { differences, faults } = await new Migrator({ connectionString: url, schema }).verify()
  const evidence = [...(differences ?? []).map(({ object, problem }) => `${object} is ${problem}`), ...faults]
  if (evidence.length > 0)
    throw new BackupError('different', `the schema ${schema} is not as the migrations make it`, { evidence })
}

function restoreCommand({ folder, order, context }: Site, base: Manifest): string {
  if (order.restoreCommand !== undefined) return order.restoreCommand
  return base.type === PGBACKREST ? archiveGet(folder, context) : 'false'
}

/** The server that is started on the folder comes to the same place, and does there what was asked for. */
async function leaveInRecovery({ folder }: Site, settings: Record<string, string>): Promise<void> {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`)
  await appendFile(join(folder, 'postgresql.auto.conf'), `${lines.join('\n')}\n`)
}

function explain(error: unknown, target: RecoveryTarget): unknown {
  if (
    !(error instanceof BackupError) ||
    !error.evidence.some((line) => line.includes('before configured recovery target'))
  )
    return error
  const why =
    target.kind === 'event'
      ? 'the event was stored within a savepoint, which has no commit of its own: use --target-lsn or --target-time'
      : 'the archived log ends before the target: is the last segment archived, and is a part of it missing?'
  return new BackupError('failed', why, { cause: error, evidence: error.evidence })
}
