// Backups in a restic repository, encrypted: each is one snapshot of its folder, tagged with its id.

import { BackupError } from '../backup-error.ts'
import { checkBackupId, freshId } from '../backup-id.ts'
import type { JobContext } from '../driver.ts'
import { MANIFEST_FILE, readManifest } from '../manifest.ts'
import { makeWorkFolder } from '../work-folder.ts'
import type { Destination, FoundBackup, FoundBackups, Staged } from './destination.ts'
import { Restic, type ResticAccess } from './restic.ts'

export type { ResticAccess }

const TAG = 'annals'

interface Snapshot {
  id: string
  tags: string[]
}

/** `restic:REPOSITORY`, with a repository as restic takes it. @throws BackupError `refused` */
export function resticDestination(address: string, access: ResticAccess): Destination {
  const repository = address.slice('restic:'.length)
  if (repository === '') throw new BackupError('refused', `${address} names no repository`)
  const restic = new Restic(repository, access)
  // A password may stand in the address of a REST server.
  const name = `restic:${repository.replace(/\/\/[^@/]*@/, '//')}`

  const snapshots = async (): Promise<Map<string, string>> => {
    const all = (await restic.ask<Snapshot[] | null>(['snapshots', '--tag', TAG])) ?? []
    return new Map(all.flatMap(({ id, tags }) => tags.filter((tag) => tag !== TAG).map((tag) => [tag, id])))
  }
  const snapshotOf = async (id: string): Promise<string> => {
    const snapshot = (await snapshots()).get(checkBackupId(id))
    if (snapshot === undefined) throw new BackupError('not_found', `there is no backup ${id} in ${name}`)
    return snapshot
  }
  const read = async (id: string, snapshot: string): Promise<FoundBackup> => {
    const lines: string[] = []
    await restic.run(['dump', snapshot, `/${MANIFEST_FILE}`], (line) => lines.push(line))
    const text = `${lines.join('\n')}\n`
    const manifest = readManifest(text, `${name}/${id}/${MANIFEST_FILE}`)
    if (manifest.id !== id)
      throw new BackupError('damaged', `the manifest of ${id} in ${name} is that of ${manifest.id}`)
    return { manifest, text }
  }

  return {
    name,
    find: async (id) => read(id, await snapshotOf(id)),
    async list() {
      const found: FoundBackups = { backups: [], faults: [] }
      for (const [id, snapshot] of [...(await snapshots())].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
        try {
          found.backups.push(await read(id, snapshot))
        } catch (error) {
          if (!(error instanceof BackupError) || error.kind !== 'damaged') throw error
          found.faults.push(error.message)
        }
      }
      return found
    },
    async stage(): Promise<Staged> {
      const id = await freshId([...(await snapshots()).keys()])
      const { folder, release } = await makeWorkFolder()
      return {
        id,
        folder,
        // The snapshot appears when it is whole; before that there is nothing to discard on the other side.
        async commit(context) {
          await back(restic, folder, id, context)
          await release()
        },
        discard: release,
      }
    },
    async open({ manifest }, context) {
      const snapshot = await snapshotOf(manifest.id)
      const { folder, release } = await makeWorkFolder()
      try {
        await restic.run(['restore', snapshot, '--target', folder], () => {}, { signal: context.signal })
        return { manifest, folder, release }
      } catch (error) {
        await release()
        throw error
      }
    },
    async remove(id) {
      await restic.run(['forget', await snapshotOf(id), '--prune'], () => {})
    },
  }
}

interface Status {
  message_type: string
  bytes_done?: number
  total_bytes?: number
}

/** From inside of the folder, so that the snapshot holds its files and not the path to it. */
async function back(restic: Restic, folder: string, id: string, context: JobContext): Promise<void> {
  const onLine = (line: string) => {
    const { message_type: type, bytes_done: done = 0, total_bytes: total = null } = JSON.parse(line) as Status
    if (type === 'status') context.progress({ step: `sending ${id}`, unit: 'bytes', done, total })
  }
  await restic.run(['backup', '.', '--tag', TAG, '--tag', id], onLine, { cwd: folder, signal: context.signal })
}
