// One PostgreSQL server process: started by us, or found running in its data folder.

import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isProcessAlive, isUnburied } from './folder-lock.ts'
import { serverProcesses, signalAll } from './server-processes.ts'
import type { ServerUser } from './server-user.ts'

export interface Postmaster {
  pid: number
  /** Resolves when the process has ended. */
  ended: Promise<void>
}

/** What `postmaster.pid` says about the server of a data folder. */
export interface PidFile {
  pid: number
  port: number
  socketFolder: string
  listenAddress: string
  isReady: boolean
}

/**
 * Starts `postgres` in a session of its own, so that Ctrl-C reaches only the service, which then stops it in order.
 * @throws Error when the log can't be opened, or no process can be had
 */
export function spawnPostmaster(program: string, args: string[], logFile: string, user?: ServerUser): Postmaster {
  const log = openSync(logFile, 'a', 0o640)
  try {
    const child = spawn(program, args, {
      cwd: '/',
      detached: true,
      windowsHide: true,
      stdio: ['ignore', log, log],
      env: serverEnvironment(),
      ...(user && { uid: user.uid, gid: user.gid }),
    })
    child.unref()
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
      child.once('error', () => resolve())
    })
    // A signal to no process would go to all of ours.
    if (child.pid === undefined) throw new Error(`${program} can't be started`)
    return { pid: child.pid, ended }
  } finally {
    closeSync(log)
  }
}

/** The server that already runs in the data folder, whoever started it. */
export function findPostmaster(dataFolder: string): (Postmaster & { file: PidFile }) | undefined {
  const file = readPidFile(dataFolder)
  if (file === undefined || !isProcessAlive(file.pid) || !worksIn(file.pid, dataFolder)) return undefined
  return { pid: file.pid, file, ended: gone(file.pid) }
}

/**
 * Waits while the last server of the folder is dead and not yet buried by its parent: a new one would take it for alive
 * and refuse to start. Its file must stay, as it also leads to processes that may have survived it.
 */
export async function burial(dataFolder: string): Promise<void> {
  const pid = readPidFile(dataFolder)?.pid
  for (let i = 0; i < 200 && pid !== undefined && isUnburied(pid); i++) await sleep(50, undefined, { ref: false })
}

/** Waits until the server accepts connections; false when it ended before. */
export async function isReady(postmaster: Postmaster, dataFolder: string, onSlow: () => void): Promise<boolean> {
  let hasEnded = false
  void postmaster.ended.then(() => {
    hasEnded = true
  })
  const slowAt = Date.now() + 5_000
  let isSlow = false
  for (let pause = 2; !hasEnded; pause = Math.min(pause * 1.5, 50)) {
    const file = readPidFile(dataFolder)
    if (file?.pid === postmaster.pid && file.isReady) return true
    if (!isSlow && Date.now() > slowAt) {
      isSlow = true
      onSlow()
    }
    await sleep(pause)
  }
  return false
}

/** Asks for a fast stop, then an immediate one, then none at all; each step gets `stepMs`. */
export async function stopPostmaster(postmaster: Postmaster, stepMs: number): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    // Children that hang would outlive a postmaster that is killed, and keep the next one from starting.
    signalAll(signal === 'SIGKILL' ? serverProcesses(postmaster.pid) : [postmaster.pid], signal)
    const timer = new AbortController()
    const hasEnded = await Promise.race([
      postmaster.ended.then(() => true),
      sleep(stepMs, false, { signal: timer.signal }).catch(() => false),
    ])
    timer.abort()
    if (hasEnded) return
  }
}

/** Only what a server needs: nothing of ours, no secrets, messages in English. */
export const serverEnvironment = () => ({
  LC_ALL: 'C',
  ...(process.platform === 'win32' && { SystemRoot: process.env['SystemRoot'] ?? '' }),
})

/** What a server writes of itself into its data folder; undefined when none runs there, or the file is not whole yet. */
export function readPidFile(dataFolder: string): PidFile | undefined {
  let lines: string[]
  try {
    lines = readFileSync(join(dataFolder, 'postmaster.pid'), 'utf8').split('\n')
  } catch {
    return undefined
  }
  const pid = Number(lines[0])
  if (!(pid > 0)) return undefined
  return {
    pid,
    port: Number(lines[3]),
    socketFolder: lines[4] ?? '',
    listenAddress: lines[5] ?? '',
    isReady: lines[7]?.trim() === 'ready',
  }
}

// Tells the server from a later process that got the same id. In a container even root may be kept from reading the
// working folder of another user's process, but not its arguments.
function worksIn(pid: number, dataFolder: string): boolean {
  if (process.platform !== 'linux') return true
  try {
    if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(dataFolder)) return true
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dataFolder)
  } catch {
    return false
  }
}

async function gone(pid: number): Promise<void> {
  while (isProcessAlive(pid)) await sleep(100, undefined, { ref: false })
}
