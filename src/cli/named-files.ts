// Files that the command line names, looked at before anything is asked of a service.

import { accessSync, constants, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileProblem } from '../file-problem.ts'

/** @throws Error in words when `file` can't be read, or is a folder */
export function checkReadable(file: string): void {
  inWords(`${file} can't be read`, () => {
    accessSync(file, constants.R_OK)
    refuseFolder(file)
  })
}

/** @throws Error in words when the folder of `file` can't be written to, or `file` is a folder itself */
export function checkWritable(file: string): void {
  const folder = dirname(file)
  inWords(`${file} can't be written`, () => {
    if (statSync(file, { throwIfNoEntry: false }) !== undefined) refuseFolder(file)
  })
  inWords(`the folder ${folder} can't be written to`, () => accessSync(folder, constants.W_OK | constants.X_OK))
}

function refuseFolder(path: string): void {
  if (statSync(path).isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' })
}

function inWords(what: string, look: () => void): void {
  try {
    look()
  } catch (cause) {
    throw new Error(`${what}: ${fileProblem(cause)}`, { cause })
  }
}
