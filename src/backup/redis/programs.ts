// The programs of Redis: where they are, and what they are called with.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { BackupError } from '../backup-error.ts'
import { searchPath, toolEnvironment } from '../postgres-tools/environment.ts'

/** All that is ever run; the package of Debian that each is in. */
const PACKAGES = {
  'redis-cli': 'redis-tools',
  'redis-check-rdb': 'redis-tools',
  'redis-server': 'redis-server',
} as const

export interface RedisProgram {
  name: string
  path: string
}

/** @throws BackupError `refused`, saying what to install */
export function findRedisProgram(name: keyof typeof PACKAGES): RedisProgram {
  const folders = [...searchPath(), '/usr/bin', '/usr/local/bin', '/opt/homebrew/bin']
  const path = folders.map((folder) => join(folder, name)).find((file) => existsSync(file))
  if (path !== undefined) return { name, path }
  throw new BackupError(
    'refused',
    `${name} is not on PATH: install Redis's programs (Debian and Ubuntu: apt-get install ${PACKAGES[name]})`,
  )
}

/** For instance `redis-cli 7.0.15`. */
export async function versionOf({ path }: RedisProgram): Promise<string> {
  const { stdout } = await promisify(execFile)(path, ['--version'], { env: toolEnvironment() })
  return stdout.trim()
}

/** Where it connects, as arguments of redis-cli; the password goes into the environment, where other users don't see it. */
export function redisConnection(url: string): { args: string[]; env: Record<string, string> } {
  const { protocol, hostname, port, username, password } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  return {
    args: [
      ...['-h', host, '-p', port || '6379'],
      ...(username === '' ? [] : ['--user', decodeURIComponent(username)]),
      ...(protocol === 'rediss:' ? ['--tls', '--sni', host] : []),
    ],
    env: password === '' ? {} : { REDISCLI_AUTH: decodeURIComponent(password) },
  }
}
