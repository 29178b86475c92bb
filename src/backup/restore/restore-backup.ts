// Putting a backup back, in the way that is asked for. Everything is checked before the first write, and compared after
// the last one.

import type { StoreAddress } from '../../db/backup/store-connection.ts'
import { asBackupError, BackupError } from '../backup-error.ts'
import type { Destination } from '../destinations/destination.ts'
import type { BackupDriver, JobContext, OutsideStore } from '../driver.ts'
import { DRIVERS } from '../drivers.ts'
import type { Manifest } from '../manifest.ts'
import { type Checked, openChecked } from '../open/open-checked.ts'
import { runJob } from '../run-job.ts'
import { TABLE_GROUPS, type TableGroup } from '../table-groups.ts'
import { withLoadable } from './loadable.ts'
import { restoreBeside } from './restore-beside.ts'
import { prepareInto, restoreInto } from './restore-into.ts'
import { restoreStream } from './restore-stream.ts'

export type RestoreMode =
  | { mode: 'into'; isForced: boolean }
  | { mode: 'replace' }
  | { mode: 'events' }
  | { mode: 'tables'; tables: TableGroup[] }
  | { mode: 'stream'; stream: string }

export interface RestoreOrder {
  id: string
  destination: Destination
  target: StoreAddress
  how: RestoreMode
}

export interface Restored {
  manifest: Manifest
  /** What there is to know about the mode, beside what the backup holds. */
  outcome: Record<string, unknown>
}

/** @throws BackupError; then the target is as it was */
export async function restoreBackup(order: RestoreOrder, context: JobContext): Promise<Restored> {
  const { id, destination, target, how } = order
  const checked = await openChecked(destination, id, context)
  try {
    const { manifest, driver } = checked
    if (driver.outside !== undefined) return await restoreOutside(checked, driver.outside, order, context)
    refuseForeign(target, driver)
    const definition = { kind: 'restore', backupId: id, request: { ...how } } as const
    if (how.mode === 'into') {
      await prepareInto(checked, { target, isForced: how.isForced }, context)
      const into = { target, isForced: how.isForced }
      // What brings the tables along brings the catalogue too: it is written down there afterwards.
      if (checked.driver.load === undefined) await restoreInto(checked, into, context)
      if (checked.driver.load === undefined && manifest.contents === null) return { manifest, outcome: {} }
      await runJob(target, definition, context, async (context) => {
        if (checked.driver.load !== undefined) await restoreInto(checked, into, context)
        return { result: { ...manifest.contents } }
      })
      return { manifest, outcome: {} }
    }
    const { result } = await runJob(target, definition, context, async (context) => ({
      result: { ...(await restoreInUse(checked, target, how, context)) },
    }))
    return { manifest, outcome: result }
  } catch (error) {
    throw asBackupError(error, context.signal)
  } finally {
    await checked.release()
  }
}

/** Nothing of it is written down: the server that it goes into has no catalogue. */
async function restoreOutside(
  { manifest, backups: chain }: Checked,
  outside: OutsideStore,
  { target, how }: RestoreOrder,
  context: JobContext,
): Promise<Restored> {
  if (!outside.scheme.test(target.url)) {
    throw new BackupError(
      'refused',
      `a backup of type ${manifest.type} goes into another server: --into ${manifest.type}://…`,
    )
  }
  if (how.mode !== 'into' || how.isForced) {
    throw new BackupError(
      'refused',
      `a backup of type ${manifest.type} goes into an empty server only: --mode into, without --force`,
    )
  }
  return { manifest, outcome: await outside.restore({ ...context, chain }, target.url) }
}

function refuseForeign({ url }: StoreAddress, { type }: BackupDriver): void {
  const other = DRIVERS.find(({ outside }) => outside?.scheme.test(url))
  if (other === undefined) return
  throw new BackupError(
    'refused',
    `a backup of type ${type} goes into PostgreSQL; ${other.type}:// is for those of type ${other.type}`,
  )
}

function restoreInUse(
  checked: Checked,
  target: StoreAddress,
  how: Exclude<RestoreMode, { mode: 'into' }>,
  context: JobContext,
): Promise<object> {
  const groups = groupsOf(how)
  return withLoadable(checked, { target, groups }, context, (loadable): Promise<object> => {
    if (how.mode === 'stream') return restoreStream(loadable, { target, stream: how.stream }, context)
    return restoreBeside(loadable, { target, groups }, context)
  })
}

/** What is taken out of the backup. */
function groupsOf(how: Exclude<RestoreMode, { mode: 'into' }>): readonly TableGroup[] {
  switch (how.mode) {
    case 'replace':
      return TABLE_GROUPS
    case 'tables':
      return how.tables
    default:
      return ['events']
  }
}
