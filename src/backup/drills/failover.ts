// The primary dies; its standby takes over with all that it had replayed.

import { answers, promote, replayLag } from '../../db/backup/standby.ts'
import { BackupError } from '../backup-error.ts'
import { compareContents, fillOld, OLD, waitFor } from './drill-steps.ts'
import type { Scenario } from './scenario.ts'

const STANDBY = 'standby'

/** All in one step: what runs and what was promoted can't be taken up half way. */
export const failover: Scenario = {
  name: 'failover',
  summary: 'kill -9 of the primary; its standby is promoted, and has all that was there',
  steps: [
    fillOld,
    {
      title: 'A standby is made and follows; the primary is killed; the standby is promoted',
      phase: 'recover',
      async run(context) {
        const { clusters, facts } = context
        const standby = await clusters.startStandby(OLD, STANDBY)
        const { adminUrl } = await clusters.start(OLD)
        await waitFor('replication', context, async () => (await replayLag(adminUrl)) === 0)
        const killedAt = performance.now()
        await clusters.kill(OLD)
        if (await answers(adminUrl)) throw new BackupError('failed', 'the primary still answers')
        if (!(await promote(standby))) throw new BackupError('failed', 'the standby was not promoted')
        facts['rto_ms'] = Math.round(performance.now() - killedAt)
        // The service's role, as services use it.
        const store = { url: standby.replace('//postgres@', '//annals@'), schema: 'public' }
        const contents = await compareContents(store, context)
        return `SIGKILL of the primary; the standby took writes ${facts['rto_ms']} ms later, with ${contents}`
      },
    },
  ],
}
