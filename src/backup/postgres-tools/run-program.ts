// Running a program of PostgreSQL: without a shell, with its arguments as a list, and with what it said when it failed.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { BackupError } from '../backup-error.ts'
import { toolEnvironment } from './environment.ts'

const KEPT_LINES = 20
const KILL_MS = 5_000

export interface RunRequest {
  args: string[]
  /** Beside what every program is handed: a password, for instance. */
  env?: Record<string, string>
  signal: AbortSignal
  /** Runs as this user, where we may choose. */
  user?: { uid: number; gid: number } | undefined
  cwd?: string
  /** Written to its standard input. */
  input?: Readable
  /** Given its standard output; nobody reads it when absent. */
  output?: Writable
  /** Told of each line of standard error. */
  onLine?(line: string): void
}

/** Whether a stream broke because the program at its other end closed it. */
export const hasProgramLeft = ({ code }: NodeJS.ErrnoException): boolean =>
  code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE'

/** @throws BackupError `failed` with the last lines that it said; the reason of the signal when that stopped it */
export async function runProgram({ name, path }: { name: string; path: string }, request: RunRequest): Promise<void> {
  const { signal } = request
  signal.throwIfAborted()
  const child = spawn(path, request.args, {
    cwd: request.cwd ?? '/',
    env: toolEnvironment(request.env),
    stdio: [request.input ? 'pipe' : 'ignore', request.output ? 'pipe' : 'ignore', 'pipe'],
    ...(request.user && { uid: request.user.uid, gid: request.user.gid }),
  })
  const said: string[] = []
  const lines = createInterface({ input: child.stderr as Readable }).on('line', (line) => {
    said.push(line)
    if (said.length > KEPT_LINES) said.shift()
    request.onLine?.(line)
  })
  let killing: NodeJS.Timeout | undefined
  const stop = () => {
    child.kill('SIGTERM')
    killing = setTimeout(() => child.kill('SIGKILL'), KILL_MS)
    // What it may have started itself can keep its standard error open.
    child.once('exit', () => child.stderr?.destroy())
  }
  signal.addEventListener('abort', stop)
  const ended = new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(`can't be started: ${error.message}`))
    child.once('close', (code, killedBy) =>
      resolve(code === 0 ? undefined : `ended with ${killedBy ?? `exit code ${code}`}`),
    )
  })
  const piping: Promise<Error | undefined>[] = []
  // What breaks on our side ends the program too: it would wait for its input, or for somebody who reads.
  const pipe = (...streams: [Readable, Writable]) =>
    void piping.push(
      pipeline(streams).then(
        () => undefined,
        (error: NodeJS.ErrnoException) => {
          // The program went away first: its exit code says why.
          if (hasProgramLeft(error)) return undefined
          child.kill('SIGTERM')
          return error
        },
      ),
    )
  if (request.input) pipe(request.input, child.stdin as Writable)
  if (request.output) pipe(child.stdout as Readable, request.output)
  try {
    const failure = await ended
    const broken = (await Promise.all(piping)).find((error) => error !== undefined)
    signal.throwIfAborted()
    if (broken !== undefined) throw broken
    if (failure !== undefined) {
      throw new BackupError('failed', `${name} ${failure}`, {
        evidence: said.length === 0 ? ['it said nothing'] : said,
      })
    }
  } finally {
    clearTimeout(killing)
    signal.removeEventListener('abort', stop)
    lines.close()
  }
}
