import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of this package, where package.json and the migrations are. */
export const PACKAGE_FOLDER = packageFolder()

// Looked for, as this file may be in src/, in dist/, or have become a part of one in dist/chunks/.
function packageFolder(): string {
  const start = dirname(fileURLToPath(import.meta.url))
  let folder = start
  while (!existsSync(join(folder, 'package.json'))) {
    if (folder === dirname(folder)) throw new Error(`there is no package.json in ${start}, nor above it`)
    folder = dirname(folder)
  }
  return folder
}
