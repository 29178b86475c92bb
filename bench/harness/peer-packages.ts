// Packages that only peers need are kept out of the project's own dependencies: bench/peers.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'

const FOLDER = fileURLToPath(new URL('../peers/', import.meta.url))

/** Loads a package of bench/peers; the first time all of them are installed. */
export async function importPeer(name: string): Promise<unknown> {
  if (!existsSync(`${FOLDER}node_modules`)) install()
  const path = createRequire(`${FOLDER}package.json`).resolve(name)
  return await import(pathToFileURL(path).href)
}

/** Installs them when they are not there, so that no measured leg waits for it. */
export function install(): void {
  if (existsSync(`${FOLDER}node_modules`)) return
  console.error('installing the packages of bench/peers')
  const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: FOLDER,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  })
  if (status !== 0) throw new Error('npm ci in bench/peers failed')
}

export const peerVersion = (name: string): string =>
  (JSON.parse(readFileSync(`${FOLDER}node_modules/${name}/package.json`, 'utf8')) as { version: string }).version
