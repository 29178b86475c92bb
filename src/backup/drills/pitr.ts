// A bad event is stored, and others after it. The server is brought back to just before it, from a base backup and the
// archived log.

import { appendFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type pg from 'pg'
import { readServer } from '../../db/backup/describe-database.ts'
import { type EventName, recoveryFaults } from '../../db/backup/recovery.ts'
import { appendUpTo, endLogFile, readOwnEpoch } from '../../db/backup/recovery-drill.ts'
import { connectToStore, type StoreAddress } from '../../db/backup/store-connection.ts'
import { handOver, serverUser } from '../../db/embedded/server-user.ts'
import { asBackupError, BackupError } from '../backup-error.ts'
import { createBackup } from '../create-backup.ts'
import { folderDestination } from '../destinations/folder-destination.ts'
import { PHYSICAL } from '../physical/base-backup-driver.ts'
import { findProgram, type Program, type ProgramName } from '../postgres-tools/find-program.ts'
import { recover } from '../recovery/recover.ts'
import { RecoveryServer } from '../recovery/recovery-server.ts'
import { fetchCommand, thisProgram, walConfiguration } from '../wal/wal-configuration.ts'
import { chooseVerified, compareContents, contentsOf, OLD, rebuild, remember, waitFor } from './drill-steps.ts'
import type { DrillContext, Refusable, Scenario } from './scenario.ts'

/** Only in the log: appended after the base backup and before the bad event. And what goes with the bad event. */
const EVENTS_BEFORE = 100
const EVENTS_AFTER = 3

/** The programs that a recovery of the live server needs: those of its own version. @throws BackupError `refused` */
async function programs({ desk, pgBin }: Refusable): Promise<Program> {
  if (desk.store === undefined) throw new BackupError('refused', 'there is no database: set DATABASE_URL')
  const { major } = await asked(desk.store, readServer)
  const find = (name: ProgramName) => findProgram(name, { pgBin, major, of: 'the server', isExact: true })
  for (const name of ['pg_basebackup', 'pg_verifybackup', 'pg_controldata'] as const) await find(name)
  return find('postgres')
}

async function asked<T>(store: StoreAddress, ask: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connectToStore(store, 'drill')
  try {
    return await ask(client)
  } finally {
    await client.end()
  }
}

/** Started anew or running: as a superuser's, whom pg_basebackup is let in as. */
async function oldStore({ clusters, facts }: DrillContext): Promise<StoreAddress> {
  const { adminUrl } = await clusters.start(OLD, String(facts['binaries']))
  return { url: adminUrl, schema: 'public' }
}

const backupsOf = ({ folder }: DrillContext) => folderDestination(join(folder, 'backups'))
const archiveOf = ({ clusters }: DrillContext) => clusters.beside(OLD, 'archive')
const recoveredOf = ({ clusters }: DrillContext) => clusters.beside(OLD, 'recovered')

/** In a stream that nobody else has. */
const badEvent = ({ folder }: DrillContext): EventName => ({ stream: basename(folder), version: EVENTS_BEFORE + 1 })
const named = ({ stream, version }: EventName) => `${stream}@${version}`

export const pitr: Scenario = {
  name: 'pitr',
  summary: 'a bad event is stored; the server is recovered to just before it, from a base backup and the archived log',
  refusal: (context) =>
    programs(context).then(
      () => undefined,
      (error: unknown) => asBackupError(error, context.signal).message,
    ),
  steps: [
    {
      title: 'A cluster of the live version is filled from the newest verified backup, and archives its log',
      phase: 'prepare',
      async run(context) {
        const { clusters, facts } = context
        const { path, major, version } = await programs(context)
        Object.assign(facts, { binaries: dirname(dirname(path)), major })
        const { id, verified } = await chooseVerified(context)
        await rebuild(context, OLD, { id, destination: context.desk.destination }, String(facts['binaries']))
        await clusters.stop(OLD)
        const data = clusters.dataFolder(OLD)
        const archive = await archiveOf(context)
        mkdirSync(archive, { mode: 0o700 })
        const user = serverUser(data)
        if (user !== undefined) handOver(archive, user)
        appendFileSync(join(data, 'postgresql.conf'), walConfiguration({ program: thisProgram(), archive }))
        await oldStore(context)
        return `${id}, verified at level ${verified?.level}, in PostgreSQL ${version} with the lines of annals wal conf`
      },
    },
    {
      title: 'A base backup is made, and more events are appended, which only the log has',
      phase: 'prepare',
      async run(context) {
        const store = await oldStore(context)
        const desk = { destination: backupsOf(context), store }
        const { id, tool } = await createBackup(desk, { type: PHYSICAL, options: {} }, context)
        const { stream } = badEvent(context)
        const good = { stream, version: EVENTS_BEFORE, type: 'DrillHappened' }
        await asked(store, (client) => appendUpTo(client, store.schema, good))
        const contents = await contentsOf(store, context)
        remember(context, contents)
        return `${id} by ${tool}; then ${contents.events} events up to position ${contents.head}`
      },
    },
    {
      title: 'A bad event is appended, and others after it',
      phase: 'incident',
      async run(context) {
        const store = await oldStore(context)
        const bad = badEvent(context)
        const after = { stream: bad.stream, version: bad.version + EVENTS_AFTER, type: 'DrillHappened' }
        await asked(store, async (client) => {
          await appendUpTo(client, store.schema, { ...bad, type: 'DrillWentWrong' })
          await appendUpTo(client, store.schema, after)
          Object.assign(context.facts, { epoch: await readOwnEpoch(client, store.schema), lost_events: EVENTS_AFTER })
        })
        return `${named(bad)} is bad; the ${EVENTS_AFTER} events after it go with it`
      },
    },
    {
      title: 'The last of the log is archived, and the server stopped',
      phase: 'detect',
      async run(context) {
        const file = await asked(await oldStore(context), endLogFile)
        const archive = await archiveOf(context)
        await waitFor(`the archiving of ${file}`, context, () => existsSync(join(archive, file)))
        await context.clusters.stop(OLD)
        return `annals wal archive has put ${file} into the archive`
      },
    },
    {
      title: 'The server is recovered to just before the bad event, into a new folder',
      phase: 'recover',
      async run(context) {
        const folder = await recoveredOf(context)
        rmSync(folder, { recursive: true, force: true })
        const restoreCommand = fetchCommand({ program: thisProgram(), archive: await archiveOf(context) })
        const target = { kind: 'event', event: badEvent(context) } as const
        const destination = backupsOf(context)
        const done = await recover({ destination, folder, restoreCommand, target, onTarget: 'promote' }, context)
        return `from ${done.base}, the log replayed to ${done.lsn}, where the last commit was at ${done.time}`
      },
    },
    {
      title: 'Every row from before the bad event is there, the bad event is not, and the epoch is new',
      phase: 'verify',
      async run(context) {
        const folder = await recoveredOf(context)
        const server = await RecoveryServer.start({
          ...{ folder, user: serverUser(folder), major: Number(context.facts['major']), pgBin: context.pgBin },
          ...{ superuser: 'postgres', database: 'annals', settings: {} },
        })
        try {
          await server.reach(
            ({ is_recovering: isRecovering }) => !isRecovering,
            context.signal,
            () => {},
          )
          return await proveRecovered({ url: server.url, schema: 'public' }, context)
        } finally {
          await server.stop()
        }
      },
    },
  ],
}

/** @throws BackupError `different` */
async function proveRecovered(store: StoreAddress, context: DrillContext): Promise<string> {
  const contents = await compareContents(store, context)
  const bad = badEvent(context)
  const old = String(context.facts['epoch'])
  const { evidence, epoch } = await asked(store, async (client) => ({
    evidence: await recoveryFaults(client, store.schema, bad),
    epoch: await readOwnEpoch(client, store.schema),
  }))
  if (epoch === old) evidence.push(`the epoch is ${epoch}, as it was before`)
  if (evidence.length > 0)
    throw new BackupError('different', 'the store is not as it was just before the bad event', { evidence })
  return `${contents}; no ${named(bad)}; epoch ${old} became ${epoch}`
}
