// What the figures were measured on.

import { spawnSync } from 'node:child_process'
import { cpus, release, totalmem, type } from 'node:os'
import { VERSION } from '../../src/version.ts'
import { busySeconds, familySeconds } from './processor-time.ts'
import type { Server } from './server.ts'

export interface Machine {
  date: string
  annals: string
  node: string
  postgresql: string
  postgresqlSettings: string
  kernel: string
  processor: string
  cores: number
  memory: string
}

export function describeMachine(server: Server): Machine {
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    annals: [VERSION, commit()].filter(Boolean).join(' at '),
    node: process.versions.node,
    postgresql: server.version,
    postgresqlSettings: Object.entries(server.settings)
      .map(([name, value]) => `${name}=${value}`)
      .join(', '),
    kernel: `${type()} ${release()}`,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
  }
}

/** The commit that is measured, as far as git knows; nothing in a folder without git. */
function commit(): string {
  const name = git('describe', '--always')
  // The figures of the scenarios before this one are not what is measured.
  const changes = git('status', '--porcelain', '--untracked-files=no', '--', ':/', ':!/bench/results.*')
  return changes === '' ? name : `${name}-dirty`
}

function git(...args: string[]): string {
  const { stdout } = spawnSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' })
  return stdout?.trim() ?? ''
}

/** How many cores other work keeps busy from now until the answer is called; NaN elsewhere than on Linux. */
export function watchOthers(server: Server): () => number {
  const others = () => {
    const own = familySeconds(process.pid)
    // The embedded server is a child of this process; one of DATABASE_URL is not.
    return busySeconds() - own - (server.isOwn ? 0 : server.processorSeconds())
  }
  const before = others()
  const startedAt = performance.now()
  return () => Math.max(0, ((others() - before) / (performance.now() - startedAt)) * 1000)
}
