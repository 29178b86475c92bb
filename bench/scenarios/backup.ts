import { execFile } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { openCopy } from '../harness/copy.ts'
import { fillStore } from '../harness/fill.ts'
import { type Bench, interleave, type Outcome, type Scenario } from '../harness/scenario.ts'
import { temporaryFolder } from '../harness/server.ts'
import { argumentsOf, cleanEnvironment } from '../harness/service.ts'
import { openStore } from '../harness/store.ts'

const LIMIT_MS = 600_000

export const backup: Scenario = {
  name: 'backup',
  about: '`annals backup create` and `annals restore` of 1 million events, beside COPY of the same rows.',
  isLong: true,
  async run(bench: Bench): Promise<Outcome> {
    const events = bench.isQuick ? 100_000 : 1_000_000
    const store = await openStore(bench)
    await fillStore(store, events)
    const folder = temporaryFolder(bench.closers)
    const [backups, rows] = [join(folder, 'backups'), join(folder, 'events.copy')]
    const copy = await openCopy(store.databaseUrl)
    const rate = (seconds: number) => ({ per_second: events / seconds, seconds })
    const annals = async (args: string[]): Promise<number> => {
      const startedAt = performance.now()
      const options = { env: cleanEnvironment(), timeout: LIMIT_MS, cwd: folder }
      await promisify(execFile)(process.execPath, argumentsOf({ entry: bench.program.entry }, args), options)
      return (performance.now() - startedAt) / 1000
    }
    const rounds = await interleave(bench, {
      'backup create': async () => {
        rmSync(backups, { recursive: true, force: true })
        return rate(await annals(['backup', 'create', '--dir', backups, '--database-url', store.databaseUrl]))
      },
      'COPY TO': async () => rate(await copy.out('COPY public.events TO STDOUT', rows)),
      restore: async () => {
        const closers = bench.closers.part()
        try {
          const target = await bench.server.createDatabase(closers)
          const [id] = readdirSync(backups)
          return rate(await annals(['restore', id as string, '--into', target, '--dir', backups]))
        } finally {
          await closers.closeAll()
        }
      },
      'COPY FROM': async () => {
        await store.client.query('TRUNCATE raw.events')
        return rate(await copy.in('COPY raw.events FROM STDIN', rows))
      },
    })
    const bar = (what: string, leg: string, against: string, atLeast: number) => ({
      what: `${what} of ${events.toLocaleString('en')} events, events/s`,
      against: `\`${against}\` of the same rows (${copy.client})`,
      reached: rounds.ratio(leg, 'per_second', against),
      ...{ unit: '×' as const, atLeast },
    })
    return {
      rounds,
      bars: [
        bar('`annals backup create`, an archive', 'backup create', 'COPY TO', 0.5),
        bar('`annals restore` of it', 'restore', 'COPY FROM', 0.35),
      ],
      notes: [
        'Both sides include the start of their program. COPY is in its usual text format, to and from a file, uncompressed.',
        'A backup is compressed, hashed and synced to the disk; a restore migrates an empty database, reads the archive twice, and compares every row before it commits.',
      ],
    }
  },
}
