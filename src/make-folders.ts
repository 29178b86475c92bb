import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * A folder with those above it, where they are missing. Node.js does so by `recursive` as well, and tries for ever where
 * the system says of a folder that is there that it is not, as below /proc.
 * @throws errors of `mkdir`
 */
export function makeFolders(path: string, mode = 0o777): void {
  const error = tryToMake(path, mode)
  if (error === undefined) return
  if (error.code !== 'ENOENT' || dirname(path) === path) throw error
  makeFolders(dirname(path), mode)
  const again = tryToMake(path, mode)
  if (again !== undefined) throw again
}

function tryToMake(path: string, mode: number): NodeJS.ErrnoException | undefined {
  try {
    mkdirSync(path, { mode })
  } catch (cause) {
    const error = cause as NodeJS.ErrnoException
    const isThere = error.code === 'EEXIST' && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
    return isThere ? undefined : error
  }
  return undefined
}
