// The service as a process of its own on a cluster of the drill, started as an operator starts it, and appended to.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { environmentWith } from '../../config.ts'
import { BackupError } from '../backup-error.ts'

export interface ServiceProcess {
  url: string
  /** `kill -9`: nothing is finished, nothing is closed. */
  kill(): Promise<void>
  /** SIGTERM. */
  stop(): Promise<void>
}

/** `dataDir`: of a cluster that nothing else has started. Resolves when it is ready. */
export async function startService(dataDir: string, signal: AbortSignal): Promise<ServiceProcess> {
  // The same program with the same loaders as this process.
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] as string, 'serve'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: environmentWith({
      ...{ HOST: '127.0.0.1', PORT: '0', DATA_DIR: dataDir, SCHEDULES: 'off', LOG_LEVEL: 'info' },
      // What the live service has set must not lead the drill to it.
      ...{ DATABASE_URL: '', DATABASE_DIRECT_URL: '', DATABASE_SCHEMA: '', ANNALS_TOKENS: '', ANNALS_TOKENS_FILE: '' },
      ...{
        TLS_CERT_FILE: '',
        TLS_KEY_FILE: '',
        REDIS_URL: '',
        JWT_SECRET: '',
        METRICS_PORT: '',
        APP_ENV: 'development',
      },
    }),
  })
  const exit = once(child, 'exit').then(() => {})
  const end = async (how: NodeJS.Signals) => {
    child.kill(how)
    await exit
  }
  try {
    const url = await Promise.race([address(child), exit.then(() => Promise.reject(ended()))])
    while (!(await isReady(url, signal))) await sleep(20, undefined, { signal })
    return { url, kill: () => end('SIGKILL'), stop: () => end('SIGTERM') }
  } catch (error) {
    await end('SIGKILL')
    throw error
  }
}

const isReady = (url: string, signal: AbortSignal): Promise<boolean> =>
  fetch(`${url}/health/ready`, { signal }).then(
    ({ ok }) => ok,
    () => false,
  )

const ended = () => new BackupError('failed', 'the service ended before it was ready')

async function address(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  return new Promise((resolve) => {
    lines.on('line', (line) => {
      if (line.includes('"listening"')) resolve((JSON.parse(line) as { url: string }).url)
    })
  })
}

/** Appends one event, and answers its position once it is acknowledged. */
export async function appendOne(url: string, stream: string): Promise<number> {
  const answer = await fetch(`${url}/streams/${stream}/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ events: [{ type: 'DrillHappened', data: {} }] }),
  })
  const { position } = (await answer.json()) as { position?: number }
  if (answer.status === 201 && position !== undefined) return position
  throw new BackupError('failed', `an append was answered with ${answer.status}`)
}
