// A real Redis, as a process that a test may kill and stop.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:net'
import { type Teardown, testFolder } from './postgres.ts'
import { until } from './service.ts'

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
  const port = await freePort()
  const folder = testFolder(t)
  const args = [
    ...['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder],
    // Else whoever asks for a copy waits for others to ask too.
    ...['--repl-diskless-sync-delay', '0'],
  ]
  let child: ChildProcess | undefined
  const redis: TestRedis = {
    url: `redis://${password && `:${password}@`}127.0.0.1:${port}`,
    async start() {
      child = spawn('redis-server', [...args, ...(password === '' ? [] : ['--requirepass', password])], {
        stdio: 'ignore',
      })
      await until(() => answers(port))
    },
    async kill() {
      const ended = child && once(child, 'exit')
      child?.kill('SIGKILL')
      child = undefined
      await ended
    },
    pause: () => child?.kill('SIGSTOP'),
    resume: () => child?.kill('SIGCONT'),
  }
  t.teardown(() => redis.kill())
  await redis.start()
  return redis
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    }).on('error', () => resolve(false))
  })

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
