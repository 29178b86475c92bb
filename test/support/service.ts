// The whole service: in this process, or as the child process that an operator would start.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { loadSettings } from '../../src/config.ts'
import { openLog } from '../../src/logger.ts'
import { type Service, startService } from '../../src/service.ts'
import type { Teardown } from './postgres.ts'
import { childCommand } from './program.ts'

type Environment = Record<string, string>

const QUICK: Environment = {
  PORT: '0',
  DATABASE_MAX_CONNECTIONS: '4',
  SHUTDOWN_TIMEOUT_MS: '3000',
  // On a machine that has other things to do requests wait for longer, and nobody would be helped by a refusal.
  DATABASE_ACQUIRE_TIMEOUT_MS: '6000',
  APPEND_QUEUE_TIMEOUT_MS: '6000',
}

/** Time-outs for tests in which something hangs. */
export const QUICK_LADDER: Environment = {
  DATABASE_CONNECT_TIMEOUT_MS: '1000',
  DATABASE_ACQUIRE_TIMEOUT_MS: '1000',
  DATABASE_LOCK_TIMEOUT_MS: '800',
  DATABASE_STATEMENT_TIMEOUT_MS: '1600',
  DATABASE_QUERY_TIMEOUT_MS: '2400',
  APPEND_QUEUE_TIMEOUT_MS: '1600',
  REQUEST_TIMEOUT_MS: '4000',
}

/** A service in this process on a free port; closed after the test. */
export async function startTestService(t: Teardown, env: Environment): Promise<Service & { lines: string[] }> {
  const { settings } = loadSettings({ ...QUICK, ...env })
  const lines: string[] = []
  const log = openLog(settings, { write: (line) => lines.push(line) })
  const service = await startService({ settings, log })
  t.teardown(() => service.close())
  return { ...service, lines }
}

export interface Child {
  process: ChildProcess
  /** Of the service; known when it listens. */
  url: string
  stdout: string[]
  stderr: string[]
  /** The exit code, or the signal that ended it. */
  exit: Promise<number | NodeJS.Signals>
  /** Resolves when `text` was written to standard error. */
  said(text: string): Promise<void>
}

/** `annals <args>` as a process of its own, with nothing in its environment but `env`; killed after the test. */
export function spawnAnnals(t: Teardown, args: string[], env: Environment = {}, cwd?: string): Child {
  const child = spawn(...childCommand(args), {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  })
  const lines = { stdout: [] as string[], stderr: [] as string[] }
  eachLine(child.stdout, (line) => lines.stdout.push(line))
  const errors = createInterface({ input: child.stderr }).on('line', (line) => lines.stderr.push(line))
  const exit = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exit
  })
  return {
    process: child,
    url: '',
    ...lines,
    exit,
    async said(text) {
      if (lines.stderr.some((line) => line.includes(text))) return
      await new Promise<void>((resolve, reject) => {
        errors.on('line', (line) => line.includes(text) && resolve())
        void exit.then((code) => reject(new Error(`it ended with ${code}: ${lines.stderr.join('\n')}`)))
      })
    },
  }
}

/** Divides at line feeds alone: readline of Node 24 also does at U+2028, which is part of an event's line. */
function eachLine(input: Readable, onLine: (line: string) => void): void {
  let rest = ''
  input.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  })
  input.on('end', () => rest !== '' && onLine(rest))
}

/** `annals serve` as a process; resolves when it listens. */
export async function spawnService(t: Teardown, env: Environment, cwd?: string): Promise<Child> {
  const child = spawnAnnals(t, ['serve'], { ...QUICK, ...env }, cwd)
  await until(() => child.stdout.some((line) => line.includes('"listening"')), 60_000, child)
  const line = child.stdout.find((line) => line.includes('"listening"')) as string
  return { ...child, url: (JSON.parse(line) as { url: string }).url }
}

/** Polls until `isTrue` says so. @throws after `deadlineMs`, which is a hang on any machine, or when the child ended */
export async function until(
  isTrue: () => boolean | Promise<boolean>,
  deadlineMs = 60_000,
  child?: Pick<Child, 'process' | 'stderr'>,
): Promise<void> {
  const deadlineAt = performance.now() + deadlineMs
  while (!(await isTrue())) {
    if (performance.now() > deadlineAt) throw new Error(`not true within ${deadlineMs} ms`)
    if (child !== undefined && child.process.exitCode !== null) {
      throw new Error(`it ended with ${child.process.exitCode}: ${child.stderr.join('\n')}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Status and JSON body of a request; status 0 when there was no answer. */
export async function ask(
  url: string,
  init?: RequestInit,
): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }> {
  try {
    const answer = await fetch(url, init)
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? {} : JSON.parse(text), headers: answer.headers }
  } catch {
    return { status: 0, body: {}, headers: new Headers() }
  }
}

/** Appends one event to `stream`. */
export const appendTo = (url: string, stream: string, event: Record<string, unknown> = { type: 'Happened' }) =>
  ask(`${url}/streams/${encodeURIComponent(stream)}/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ events: [event] }),
  })
