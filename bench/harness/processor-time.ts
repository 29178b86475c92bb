// Processor time of other processes, from /proc; elsewhere than on Linux it is not measured.

import { existsSync, readdirSync, readFileSync } from 'node:fs'

// _SC_CLK_TCK: 100 on every Linux that Node runs on.
const TICKS_PER_SECOND = 100

interface Times {
  pid: number
  name: string
  parent: number
  own: number
  /** Of children that have ended and were waited for. */
  reaped: number
}

/** Seconds of processor time that a process has used; NaN where that can't be known. */
export function processSeconds(pid: number): number {
  return timesOf(pid)?.own ?? Number.NaN
}

/** Seconds that a process and all its descendants, those that ended too, have used; NaN where that can't be known. */
export function familySeconds(pid: number): number {
  const all = allProcesses()
  const sum = (times: Times): number =>
    times.own +
    times.reaped +
    all.filter(({ parent }) => parent === times.pid).reduce((total, child) => total + sum(child), 0)
  const head = all.find((times) => times.pid === pid)
  return head === undefined ? Number.NaN : sum(head)
}

const allProcesses = (): Times[] =>
  existsSync('/proc/self/stat')
    ? readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .flatMap((name) => timesOf(Number(name)) ?? [])
    : []

/**
 * Seconds that all cores were busy since the machine started; NaN where that can't be known. With soft interrupts,
 * which os.cpus() leaves out: they are part of the price of a connection, and of the time of processes.
 */
export function busySeconds(): number {
  if (!existsSync('/proc/stat')) return Number.NaN
  const [user, nice, system, , , interrupts, softInterrupts] = (
    readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? ''
  )
    .split(/\s+/)
    .slice(1)
    .map(Number) as number[]
  const ticks = [user, nice, system, interrupts, softInterrupts]
  return ticks.reduce<number>((sum, each) => sum + (each ?? 0), 0) / TICKS_PER_SECOND
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) * 1024
}

/** The parent of a backend; undefined when that number is no backend here, as with a server in a container. */
export function postmasterOf(backend: number): number | undefined {
  const times = timesOf(backend)
  return times?.name.startsWith('post') ? times.parent : undefined
}

function timesOf(pid: number): Times | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in parentheses may itself hold spaces; what follows counts from field 3 on.
    const nameEnd = stat.lastIndexOf(')')
    const name = stat.slice(stat.indexOf('(') + 1, nameEnd)
    const fields = stat.slice(nameEnd + 2).split(' ')
    const ticks = (first: number) => (Number(fields[first - 3]) + Number(fields[first - 2])) / TICKS_PER_SECOND
    return { pid, name, parent: Number(fields[1]), own: ticks(14), reaped: ticks(16) }
  } catch {
    return undefined
  }
}
