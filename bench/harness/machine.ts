// What the figures were measured on.

import { cpus, release, totalmem, type } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { VERSION } from '../../src/version.ts'
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
    annals: VERSION,
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

const SAMPLE_MS = 1_000

/** How many cores other work keeps busy, looked at for a second while the bench itself does nothing. */
export async function coresOfOthers(): Promise<number> {
  const before = busyMs()
  await sleep(SAMPLE_MS)
  return (busyMs() - before) / SAMPLE_MS
}

const busyMs = (): number => cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0)
