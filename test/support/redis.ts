// A real Redis, as a process that a test may kill and stop.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type Teardown, testFolder } from './postgres.ts'

/** Why tests that need Redis are left out, or false. */
export const withoutRedis: string | false =
  spawnSync('redis-server', ['--version']).status === 0 ? false : 'redis-server is not installed'

export interface TestRedis {
  url: string
  start(): Promise<void>
  /** `kill -9`. */
  kill(): Promise<void>
  /** SIGSTOP: connections stay open, and nothing answers. */
  pause(): void
  resume(): void
}

/** A Redis that keeps nothing on disk, on a port of 127.0.0.1 that stays the same. */
export async function startRedis(t: Teardown, { password = '' } = {}): Promise<TestRedis> {
  const folder = testFolder(t)
  for (let attempt = 1; ; attempt++) {
    // Below the ports that the system gives to connections, so that none of them takes it while Redis is away.
    const redis = redisOn(randomInt(20_000, 32_000), password, folder)
    t.teardown(() => redis.kill())
    try {
      await redis.start()
      return redis
    } catch (error) {
      if (attempt === 5) throw error
    }
  }
}

function redisOn(port: number, password: string, folder: string): TestRedis {
  const args = [
    ...['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder],
    // Else whoever asks for a copy waits for others to ask too.
    ...['--repl-diskless-sync-delay', '0'],
    ...(password === '' ? [] : ['--requirepass', password]),
  ]
  let child: ChildProcess | undefined
  return {
    url: `redis://${password && `:${password}@`}127.0.0.1:${port}`,
    async start() {
      const started = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'ignore'] })
      child = started
      await new Promise<void>((resolve, reject) => {
        createInterface(started.stdout).on('line', (line) => line.includes('Ready to accept connections') && resolve())
        // For instance because the port is taken.
        started.once('exit', () => reject(new Error(`redis-server on port ${port} ended`)))
      })
    },
    async kill() {
      const killed = child
      child = undefined
      if (killed === undefined || killed.exitCode !== null || killed.signalCode !== null) return
      const ended = once(killed, 'exit')
      killed.kill('SIGKILL')
      await ended
    },
    pause: () => child?.kill('SIGSTOP'),
    resume: () => child?.kill('SIGCONT'),
  }
}
