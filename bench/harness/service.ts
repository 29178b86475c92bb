// The service under test: the built program, started as its users start it, with production settings.

import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Settings } from '../../src/settings.ts'
import type { Closers } from './closers.ts'
import { processSeconds, residentBytes } from './processor-time.ts'

export interface ServiceProgram {
  /** `dist/main.js`, or a `.ts` file, which then runs through tsx. */
  entry: string
  /** Folder for processor profiles, written when the service ends. */
  profileDir?: string
}

export interface RunningService {
  port: number
  url: string
  /** From the start of the process to the first "ready". */
  startSeconds: number
  processorSeconds(): number
  residentBytes(): number
  stop(): Promise<void>
}

const START_LIMIT_MS = 30_000
const STOP_LIMIT_MS = 15_000

/** Starts the service with `env` above production settings, and waits until it is ready. */
export async function startService(
  closers: Closers,
  program: ServiceProgram,
  env: Record<string, string>,
): Promise<RunningService> {
  const port = await freePort()
  const startedAt = performance.now()
  const child = spawn(process.execPath, argumentsOf(program), {
    env: { ...cleanEnvironment(), APP_ENV: 'production', MIGRATE_ON_START: 'on', PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // Ctrl-C reaches the bench alone, which then stops everything in order.
    detached: true,
  })
  const stop = closers.add(() => end(child))
  const lastWords = keepLastWords(child)
  await waitUntilReady(child, port, lastWords).catch(async (error: Error) => {
    await stop()
    throw error
  })
  const pid = child.pid as number
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    startSeconds: (performance.now() - startedAt) / 1000,
    processorSeconds: () => processSeconds(pid),
    residentBytes: () => residentBytes(pid),
    stop,
  }
}

/** The arguments of `node` that run a command of the program. */
export function argumentsOf({ entry, profileDir }: ServiceProgram, command: string[] = ['serve']): string[] {
  const profile = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`]
  return [...(entry.endsWith('.ts') ? ['--import', 'tsx'] : []), ...profile, entry, ...command]
}

/** This process's environment without settings that a developer may have for a service of their own. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const env = { ...process.env }
  for (const name of [...Object.keys(Settings.properties), 'RUST_ENV', 'NODE_ENV']) delete env[name]
  return env
}

async function waitUntilReady(child: ChildProcess, port: number, lastWords: () => string): Promise<void> {
  const deadline = performance.now() + START_LIMIT_MS
  while (child.exitCode === null && child.signalCode === null && performance.now() < deadline) {
    const response = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined)
    await response?.arrayBuffer()
    if (response?.status === 200) return
    // More often would take time from the start that is measured.
    await sleep(10)
  }
  throw new Error(`the service did not become ready:\n${lastWords()}`)
}

function keepLastWords(child: ChildProcess): () => string {
  let words = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(-4_000)
    })
  }
  return () => words
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS)
  await ended
  clearTimeout(timer)
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
