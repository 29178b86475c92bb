// Steps that several scenarios have.

import { setTimeout as sleep } from 'node:timers/promises'
import { runOwnTransaction } from '../../db/backup/own-transaction.ts'
import { type RowContents, readContents } from '../../db/backup/read-contents.ts'
import type { StoreAddress } from '../../db/backup/store-connection.ts'
import { BackupError } from '../backup-error.ts'
import { type CatalogueEntry, readCatalogue } from '../catalogue.ts'
import type { Destination } from '../destinations/destination.ts'
import type { Manifest } from '../manifest.ts'
import { unitOf } from '../progress.ts'
import { restoreBackup } from '../restore/restore-backup.ts'
import type { DrillContext, DrillStep } from './scenario.ts'

/** Name of the cluster that the incident befalls, and of the one that replaces it. */
export const OLD = 'old'
export const NEW = 'new'

const PATIENCE_MS = 60_000
const POLL_MS = 50

/** @throws BackupError when it does not become so */
export async function waitFor(
  what: string,
  { signal }: Pick<DrillContext, 'signal'>,
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(POLL_MS, undefined, { signal })) {
    if (await isSo()) return
  }
  throw new BackupError('failed', `${what} did not happen within ${PATIENCE_MS / 1000} s`)
}

/** The newest that passed a check and holds the events; noted as what the drill began with. @throws BackupError `not_found` */
export async function chooseVerified({ desk, facts }: DrillContext): Promise<CatalogueEntry> {
  const { entries } = await readCatalogue(desk)
  const found = entries.find(
    ({ state, verified, type, destination }) =>
      state === 'complete' && verified !== null && type === 'archive' && destination === desk.destination.name,
  )
  if (found !== undefined) {
    noteBackup(facts, found.id, desk.destination)
    return found
  }
  throw new BackupError(
    'not_found',
    `there is no verified archive in ${desk.destination.name}: run annals backup create and annals backup verify first`,
  )
}

/** For the report: the backup that the drill's store comes from. */
export function noteBackup(facts: DrillContext['facts'], id: string, place: Destination): void {
  Object.assign(facts, { backup: id, place: place.name })
}

/** The newest at a place that is not the live store's own. */
export async function newestAt(place: Destination): Promise<Manifest> {
  const { backups } = await place.list()
  const found = backups.map(({ manifest }) => manifest).findLast(({ type }) => type === 'archive')
  if (found !== undefined) return found
  throw new BackupError('not_found', `there is no archive in ${place.name}`)
}

/** Into a cluster that is made anew. */
export async function rebuild(
  context: DrillContext,
  cluster: string,
  from: { id: string; destination: Destination },
  binaries?: string,
): Promise<StoreAddress> {
  await context.clusters.destroy(cluster)
  const server = await context.clusters.start(cluster, binaries)
  const target = { url: server.url, schema: 'public' }
  await restoreBackup({ ...from, target, how: { mode: 'into', isForced: false } }, context)
  return target
}

/** What a store holds, every row read and hashed. @throws an error of `pg`, as for a page that is damaged */
export async function contentsOf(store: StoreAddress, context: DrillContext): Promise<RowContents> {
  const { signal } = context
  return runOwnTransaction(store, { purpose: 'drill', mode: 'snapshot', signal }, async (client) => {
    const onRows = (table: string, done: number) =>
      context.progress({ step: `reading ${table}`, unit: unitOf(table), done, total: null })
    const tables = ['events', 'snapshots']
    return (await readContents(client, store.schema, { tables, signal, onRows })) as RowContents
  })
}

/** Keeps it for later steps, as plain values. */
export function remember(context: DrillContext, { head, events, events_digest: digest }: RowContents): void {
  Object.assign(context.facts, { head, events, digest })
}

/** What a store holds, in words. @throws BackupError `different` when that is not what was remembered */
export async function compareContents(store: StoreAddress, context: DrillContext): Promise<string> {
  const found = await contentsOf(store, context)
  const { head, events, digest } = context.facts
  if (found.head === head && found.events === events && found.events_digest === digest) {
    return `${found.events} events up to position ${found.head}, digest ${found.events_digest}`
  }
  throw new BackupError('different', 'what came back is not what was there', {
    evidence: [
      `there were ${events} events up to ${head}, digest ${digest}`,
      `there are ${found.events} up to ${found.head}, digest ${found.events_digest}`,
    ],
  })
}

/** Fills the cluster that the incident will befall, from the newest verified backup of the live store. */
export const fillOld: DrillStep = {
  title: 'A cluster of the drill is filled from the newest verified backup',
  phase: 'prepare',
  async run(context) {
    const { id, verified } = await chooseVerified(context)
    const store = await rebuild(context, OLD, { id, destination: context.desk.destination })
    const contents = await contentsOf(store, context)
    remember(context, contents)
    return `${id}, verified at level ${verified?.level}: ${contents.events} events up to position ${contents.head}`
  },
}
