// A major upgrade by the archive: from a cluster of an older PostgreSQL into one of the newest, compared row by row.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { BackupError } from '../backup-error.ts'
import { createBackup } from '../create-backup.ts'
import { folderDestination } from '../destinations/folder-destination.ts'
import { verifyBackup } from '../verify-backup.ts'
import { chooseVerified, compareContents, contentsOf, NEW, OLD, rebuild, remember } from './drill-steps.ts'
import type { DrillContext, Scenario } from './scenario.ts'

const PROGRAMS = ['postgres', 'postgres.exe']

const backupsOf = ({ folder }: DrillContext) => folderDestination(join(folder, 'backups'))

export const upgrade: Scenario = {
  name: 'upgrade',
  summary: 'from an older PostgreSQL to the one that comes along, by the archive',
  refusal: ({ options: { fromBinaries: folder } }) => {
    if (folder === undefined) {
      return 'it needs an older PostgreSQL: name its folder, the one with bin and lib in it, by --from-binaries'
    }
    if (PROGRAMS.some((name) => existsSync(join(folder, 'bin', name)))) return undefined
    return `--from-binaries ${folder} has no bin/postgres: name the folder with bin and lib of an older PostgreSQL`
  },
  steps: [
    {
      title: 'There is a verified backup to go back to, and a cluster of the older version is filled from it',
      phase: 'prepare',
      async run(context) {
        const { id, started_at: at, verified } = await chooseVerified(context)
        const hours = (Date.now() - Date.parse(at)) / 3_600_000
        // Older than that, the alert about it is critical: no time for an upgrade.
        const { critical_after_hours: limit } = context.policy.alerts
        if (hours > limit) {
          throw new BackupError(
            'refused',
            `the newest verified backup is ${Math.floor(hours)} h old, and the policy calls ${limit} h critical: make one first`,
          )
        }
        const from = { id, destination: context.desk.destination }
        const store = await rebuild(context, OLD, from, context.options.fromBinaries)
        const { version } = await context.clusters.start(OLD)
        const contents = await contentsOf(store, context)
        remember(context, contents)
        return `${id}, verified at level ${verified?.level}, in PostgreSQL ${version}: ${contents.events} events`
      },
    },
    {
      title: 'The old store is backed up, and the backup verified',
      phase: 'incident',
      async run(context) {
        const { url } = await context.clusters.start(OLD, context.options.fromBinaries)
        const desk = { destination: backupsOf(context), store: { url, schema: 'public' } }
        const { id } = await createBackup(desk, { type: 'archive', options: {} }, context)
        await verifyBackup(desk, { id, level: 1 }, context)
        context.facts['taken'] = id
        await context.clusters.stop(OLD)
        return `${id}; the old server was stopped`
      },
    },
    {
      title: 'A cluster of the new version is made and filled',
      phase: 'recover',
      async run(context) {
        await rebuild(context, NEW, { id: String(context.facts['taken']), destination: backupsOf(context) })
        const { version } = await context.clusters.start(NEW)
        return `PostgreSQL ${version}`
      },
    },
    {
      title: 'Every row of the new store is read and compared with the old one',
      phase: 'verify',
      async run(context) {
        const { url } = await context.clusters.start(NEW)
        return compareContents({ url, schema: 'public' }, context)
      },
    },
  ],
}
