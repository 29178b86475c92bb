// One service per data folder: a lock file that names its holder and is worth nothing once that process is gone.

import { execFileSync } from 'node:child_process'
import { readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { SettingsError } from '../../config.ts'

// Process ids mean nothing on another host or in another container; there the file's age decides.
const HEARTBEAT_MS = 3_000
const FOREIGN_HOLDER_DEAD_AFTER_MS = 15_000

interface Holder {
  pid: number
  /** When the process started, in the system's own words; tells a process from a later one with the same id. */
  started: string
  host: string
  since: string
}

export interface FolderLock {
  release(): void
}

/**
 * Takes the lock file, also over from a holder that is gone.
 * @throws SettingsError naming the holder that is alive.
 */
export function lockFolder(file: string, folder: string): FolderLock {
  const mine: Holder = {
    pid: process.pid,
    started: processStart(process.pid),
    host: hostname(),
    since: new Date().toISOString(),
  }
  const content = `${JSON.stringify(mine)}\n`
  // A few rounds: another starter may clear the same dead holder at the same time.
  for (let round = 0; !createExclusively(file, content); round++) {
    const found = read(file)
    if (found !== undefined) {
      const holder = parse(found.text)
      if (
        holder === undefined ? found.ageMs < FOREIGN_HOLDER_DEAD_AFTER_MS && round > 3 : isAlive(holder, found.ageMs)
      ) {
        throw new SettingsError(inUse(folder, holder))
      }
      if (holder !== undefined) removeIfUnchanged(file, found.text)
      else if (round > 3) rmSync(file, { force: true })
    }
    if (round > 50) throw new SettingsError(inUse(folder, undefined))
  }
  const heartbeat = setInterval(() => touch(file), HEARTBEAT_MS)
  heartbeat.unref()
  let held = true
  return {
    release() {
      if (!held) return
      held = false
      clearInterval(heartbeat)
      if (read(file)?.text === content) rmSync(file, { force: true })
    },
  }
}

function inUse(folder: string, holder: Holder | undefined): string {
  const who = holder ? `process ${holder.pid} on ${holder.host}, since ${holder.since}` : 'another process'
  return `DATA_DIR ${folder} is in use by another Annals (${who}): stop that one, or set another DATA_DIR`
}

function createExclusively(file: string, content: string): boolean {
  try {
    writeFileSync(file, content, { flag: 'wx', mode: 0o644 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function read(file: string): { text: string; ageMs: number } | undefined {
  try {
    return { text: readFileSync(file, 'utf8'), ageMs: Date.now() - statSync(file).mtimeMs }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function parse(text: string): Holder | undefined {
  try {
    return JSON.parse(text) as Holder
  } catch {
    return undefined
  }
}

function isAlive(holder: Holder, ageMs: number): boolean {
  if (holder.host !== hostname()) return ageMs < FOREIGN_HOLDER_DEAD_AFTER_MS
  if (!isProcessAlive(holder.pid)) return false
  return processStart(holder.pid) === holder.started
}

// Renamed first and looked at again: what was read may have been replaced by a live holder in between.
function removeIfUnchanged(file: string, text: string): void {
  const aside = `${file}.${process.pid}`
  try {
    renameSync(file, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  const taken = read(aside)?.text
  if (taken !== undefined && taken !== text) createExclusively(file, taken)
  rmSync(aside, { force: true })
}

function touch(file: string): void {
  try {
    const now = new Date()
    utimesSync(file, now, now)
  } catch {
    // The folder is gone; PostgreSQL will say so more clearly.
  }
}

/** Whether a process of this id exists, ours or not. One that has ended and was not yet buried does not count. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  return !isUnburied(pid)
}

/** Whether the process has ended, and its parent has not asked for its exit status yet. */
export const isUnburied = (pid: number): boolean => process.platform === 'linux' && processStat(pid)?.[0] === 'Z'

/** A text that differs between two processes with the same id; empty where the system does not tell. */
export function processStart(pid: number): string {
  if (process.platform === 'linux') return processStat(pid)?.[19] ?? ''
  if (process.platform === 'win32') return ''
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim()
  } catch {
    return ''
  }
}

// Fields of /proc/<pid>/stat from the third on; the command name before them may contain spaces and parentheses.
function processStat(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}
