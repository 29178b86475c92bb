// The processes of a PostgreSQL server: its postmaster, and the children that serve the connections.

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** The postmaster and its children, as far as the system tells; by /proc where there is one, as a slim system has no `ps`. */
export function serverProcesses(postmaster: number): number[] {
  if (postmaster <= 0) return []
  if (process.platform === 'win32') return [postmaster]
  const all = existsSync('/proc/self/stat')
    ? readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .map((pid) => [Number(pid), parentOf(pid)])
    : execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
        .split('\n')
        .map((line) => line.trim().split(/\s+/).map(Number))
  return [postmaster, ...all.filter(([, parent]) => parent === postmaster).map(([pid]) => pid as number)]
}

/** Sends it to each that is still there; 0, a process that never came to be, would be this one's own group. */
export function signalAll(pids: number[], signal: NodeJS.Signals): void {
  for (const pid of pids.filter((each) => each > 0)) {
    try {
      process.kill(pid, signal)
    } catch {
      // It has ended since it was listed, as short-lived workers do.
    }
  }
}

function parentOf(pid: string): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return 0
  }
}
