// The database is gone, with its disk and the backups on it. What is left is off-site.

import { existsSync } from 'node:fs'
import { contentsOf, expectSame, fillOld, NEW, newestAt, OLD, rebuild, remember } from './drill-steps.ts'
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
        const lost = Math.max(Number(context.facts['head']) - (contents?.head ?? 0), 0)
        Object.assign(context.facts, { offsite: id, lost_events: lost })
        const standIn =
          context.offsite === undefined ? ' (no BACKUP_OFFSITE is set, so the local ones stood in for it)' : ''
        return `${id} in ${place.name}${standIn}; compared with the newest local one it lacks ${lost} events`
      },
    },
    {
      title: 'A new cluster is made and filled',
      phase: 'recover',
      async run(context) {
        const id = String(context.facts['offsite'])
        await rebuild(context, NEW, { id, destination: placeOf(context) })
        return `${id} was checked, restored and compared`
      },
    },
    {
      title: 'Every row of the new store is read and compared with the manifest',
      phase: 'verify',
      async run(context) {
        const { contents } = (await placeOf(context).find(String(context.facts['offsite']))).manifest
        if (contents !== null) remember(context, contents)
        const { url } = await context.clusters.start(NEW)
        const found = await contentsOf({ url, schema: 'public' }, context)
        expectSame(context, found)
        return `${found.events} events up to position ${found.head}, digest ${found.events_digest}`
      },
    },
  ],
}
