// A page of the events is damaged on disk. Checksums find it; the store is rebuilt from the newest verified backup.

import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { eventsFile } from '../../db/backup/data-files.ts'
import { connectToStore } from '../../db/backup/store-connection.ts'
import { BackupError } from '../backup-error.ts'
import { compareContents, contentsOf, fillOld, NEW, OLD, rebuild } from './drill-steps.ts'
import type { Scenario } from './scenario.ts'

const PAGE_BYTES = 8_192

export const corruptedPage: Scenario = {
  name: 'corrupted-page',
  summary: 'a page of the events is damaged on disk, found by its checksum, and the store restored',
  steps: [
    fillOld,
    {
      title: 'One bit of the first page of the events is flipped while the server is down',
      phase: 'incident',
      async run({ clusters, facts }) {
        const { url } = await clusters.start(OLD)
        const client = await connectToStore({ url, schema: 'public' }, 'drill')
        const { path, checksums } = await eventsFile(client, 'public')
        await client.end()
        if (!checksums) throw new BackupError('refused', 'the cluster has no checksums')
        await clusters.stop(OLD)
        facts['file'] = path
        flipBit(join(clusters.dataFolder(OLD), path), PAGE_BYTES - 100)
        return `byte ${PAGE_BYTES - 100} of ${path}`
      },
    },
    {
      title: 'Reading the events finds the damage',
      phase: 'detect',
      async run(context) {
        const { url } = await context.clusters.start(OLD)
        const error = await contentsOf({ url, schema: 'public' }, context).then(
          () => undefined,
          (cause: unknown) => cause as Error & { code?: string },
        )
        if (error?.code !== 'XX001') throw new BackupError('different', `the damage was not found: ${error?.message}`)
        return `${error.code}: ${error.message}`
      },
    },
    {
      title: 'The damaged cluster is stopped, and a new one filled',
      phase: 'recover',
      async run(context) {
        await context.clusters.stop(OLD)
        const id = String(context.facts['backup'])
        await rebuild(context, NEW, { id, destination: context.desk.destination })
        return `${id} was checked, restored and compared`
      },
    },
    {
      title: 'Every row of the new store is read and compared',
      phase: 'verify',
      async run(context) {
        const { url } = await context.clusters.start(NEW)
        return compareContents({ url, schema: 'public' }, context)
      },
    },
  ],
}

function flipBit(file: string, at: number): void {
  const handle = openSync(file, 'r+')
  try {
    const byte = Buffer.alloc(1)
    readSync(handle, byte, 0, 1, at)
    byte[0] = (byte[0] as number) ^ 1
    writeSync(handle, byte, 0, 1, at)
  } finally {
    closeSync(handle)
  }
}
