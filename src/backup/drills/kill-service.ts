// `kill -9` of the service in the middle of appends. What was acknowledged is there when it is back.

import { BackupError } from '../backup-error.ts'
import { contentsOf, fillOld, OLD } from './drill-steps.ts'
import type { Scenario } from './scenario.ts'
import { appendOne, startService } from './service-process.ts'

const APPENDS = 200

export const killService: Scenario = {
  name: 'kill-service',
  summary: 'kill -9 of the service while it takes appends; it is started again, and nothing acknowledged is lost',
  steps: [
    fillOld,
    {
      title: 'The service takes appends, and is killed in the middle of them',
      phase: 'incident',
      async run(context) {
        const { clusters, facts, signal } = context
        await clusters.stop(OLD)
        const service = await startService(clusters.dataDir(OLD), signal)
        let acknowledged = 0
        let last = 0
        const killed = new AbortController()
        const writers = Array.from({ length: 8 }, async (_, writer) => {
          while (!killed.signal.aborted) {
            const position = await appendOne(service.url, `drill-${writer}`).catch(() => 0)
            if (position === 0) return
            acknowledged++
            last = Math.max(last, position)
            if (acknowledged >= APPENDS && !killed.signal.aborted) {
              killed.abort()
              await service.kill()
            }
          }
        })
        await Promise.all(writers)
        if (acknowledged < APPENDS) {
          await service.kill()
          throw new BackupError('failed', `only ${acknowledged} appends were acknowledged before one failed`)
        }
        facts['acknowledged'] = acknowledged
        facts['last'] = last
        return `${acknowledged} appends were acknowledged, the last one at position ${last}; then SIGKILL`
      },
    },
    {
      title: 'The service is started again, and is ready',
      phase: 'recover',
      async run({ clusters, signal }) {
        const service = await startService(clusters.dataDir(OLD), signal)
        await service.stop()
        return 'GET /health/ready answered 200; then it was stopped in order'
      },
    },
    {
      title: 'Every acknowledged event is there, and none twice',
      phase: 'verify',
      async run(context) {
        const { events, last, acknowledged } = context.facts
        const { url } = await context.clusters.start(OLD)
        const found = await contentsOf({ url, schema: 'public' }, context)
        const expected = Number(events) + Number(acknowledged)
        // What was in flight may have been stored without an answer; positions stay contiguous.
        if (found.head < Number(last) || found.events < expected || found.events !== found.head) {
          throw new BackupError('different', 'what was acknowledged is not all there', {
            evidence: [
              `${found.events} events up to ${found.head}, and at least ${expected} up to ${last} were acknowledged`,
            ],
          })
        }
        return `${found.events} events up to position ${found.head}; ${found.events - expected} were stored without an answer`
      },
    },
  ],
}
