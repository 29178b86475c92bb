// PostgreSQL refuses to run as root. Started by root, it runs as another user, who has to reach its folders.

import { chownSync, lchownSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { SettingsError } from '../../config.ts'

export interface ServerUser {
  name: string
  uid: number
  gid: number
}

/**
 * The user to run PostgreSQL as, or undefined for the one we are: who owns `dataFolder` already, else `postgres`,
 * else `nobody`.
 */
export function serverUser(dataFolder: string): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name = '', , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
  const owner = statSync(dataFolder, { throwIfNoEntry: false })
  if (owner !== undefined && owner.uid !== 0) {
    const name = users.find((user) => user.uid === owner.uid)?.name ?? String(owner.uid)
    return { name, uid: owner.uid, gid: owner.gid }
  }
  const user = users.find(({ name }) => name === 'postgres') ?? users.find(({ name }) => name === 'nobody')
  if (user === undefined || user.uid === 0) {
    throw new SettingsError(
      'PostgreSQL refuses to run as root, and there is no user postgres or nobody: start Annals as another user, or set DATABASE_URL',
    )
  }
  return user
}

/** The first folder above `path` that the user may not enter, by its mode bits; undefined when there is none. */
export function folderInTheWay(path: string, user: ServerUser): string | undefined {
  const folders: string[] = []
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    folders.unshift(folder)
    if (folder === dirname(folder)) break
  }
  return folders.find((folder) => {
    const stat = statSync(folder, { throwIfNoEntry: false })
    if (stat === undefined) return false
    const bit = stat.uid === user.uid ? 0o100 : stat.gid === user.gid ? 0o010 : 0o001
    return (stat.mode & bit) === 0
  })
}

/** Hands a folder with all that is in it to the user. */
export function handOver(folder: string, user: ServerUser): void {
  if (statSync(folder).uid === user.uid) return
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    lchownSync(join(entry.parentPath, entry.name), user.uid, user.gid)
  }
  chownSync(folder, user.uid, user.gid)
}
