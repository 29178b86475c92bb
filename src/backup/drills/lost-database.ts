// The database is gone, with its disk and the backups on it. What is left is off-site.

import { existsSync } from 'node:fs'
import { compareContents, fillOld, NEW, newestAt, noteBackup, OLD, rebuild, remember } from './drill-steps.ts'
import type { DrillContext, Scenario } from './scenario.ts'

/** Without a second place the first one stands in for it, and the report says so. */
const placeOf = ({ offsite, desk }: DrillContext) => offsite ?? desk.destination

export const lostDatabase: Scenario = {
  name: 'lost-database',
  summary: 'the cluster is deleted, and rebuilt from off-site',
  steps: [
    fillOld,
    {
      title: 'The cluster is deleted',
      phase: 'incident',
      async run({ clusters }) {
        const folder = clusters.dataFolder(OLD)
        await clusters.destroy(OLD)
        return existsSync(folder) ? `${folder} is still there` : `${folder} is gone`
      },
    },
    {
      title: 'The backup to rebuild from is found off-site, without the database',
      phase: 'detect',
      async run(context) {
        const place = placeOf(context)
        const { id, contents } = await newestAt(place)
        const head = Number(context.facts['head'])
        const lost = Math.max(head - (contents?.head ?? 0), 0)
        noteBackup(context.facts, id, place)
        context.facts['lost_events'] = lost
        const standIn = context.offsite === undefined ? ', the only place that there is: BACKUP_OFFSITE is not set' : ''
        return `${id} in ${place.name}${standIn}; of the ${head} positions that were in use it lacks ${lost}`
      },
    },
    {
      title: 'A new cluster is made and filled',
      phase: 'recover',
      async run(context) {
        const id = String(context.facts['backup'])
        const destination = placeOf(context)
        await rebuild(context, NEW, { id, destination })
        return `${id} was brought from ${destination.name}, checked, restored and compared`
      },
    },
    {
      title: 'Every row of the new store is read and compared with the manifest',
      phase: 'verify',
      async run(context) {
        const { contents } = (await placeOf(context).find(String(context.facts['backup']))).manifest
        if (contents !== null) remember(context, contents)
        const { url } = await context.clusters.start(NEW)
        return compareContents({ url, schema: 'public' }, context)
      },
    },
  ],
}
