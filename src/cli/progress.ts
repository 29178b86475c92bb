// A bar with rate and remaining time on a terminal; a line every few seconds where output goes to a file.

import { Presets, SingleBar } from 'cli-progress'

export interface Progress {
  /** How far it is, and how many events that is. */
  update(done: number, events: number): void
  stop(): void
}

/** What is counted beside how far it is, and how a number of it is written. */
interface Unit {
  name: string
  text(value: number): string
}

const LINE_INTERVAL_MS = 5_000
const UNITS = {
  events: { name: 'events', text: (value: number) => count(value) },
  rows: { name: 'rows', text: (value: number) => count(value) },
  bytes: { name: 'MB', text: (value: number) => (value / 1e6).toFixed(1) },
} satisfies Record<string, Unit>

/** Shows progress from 0 to `total` on standard error. */
export function startProgress(total: number, title: string, unit: keyof typeof UNITS = 'events'): Progress {
  const startedAt = performance.now()
  const rate = (done: number) => Math.round(done / Math.max((performance.now() - startedAt) / 1000, 0.001))
  return process.stderr.isTTY ? bar(total, title, UNITS[unit], rate) : lines(total, title, UNITS[unit], rate)
}

/** The steps of a job, one bar after another. */
export function showSteps(): {
  update(progress: { step: string; unit: keyof typeof UNITS; done: number; total: number | null }): void
  stop(): void
} {
  let step: string | undefined
  let shown: Progress | undefined
  return {
    update(progress) {
      if (progress.step !== step) {
        shown?.stop()
        step = progress.step
        shown = startProgress(progress.total ?? 0, step, progress.unit)
      }
      shown?.update(progress.done, progress.done)
    },
    stop: () => shown?.stop(),
  }
}

function bar(total: number, title: string, unit: Unit, rate: (done: number) => number): Progress {
  const single = new SingleBar(
    {
      format: `${title} {bar} {percentage}% | {events} ${unit.name} | {rate} ${unit.name}/s | {eta_formatted} left`,
      hideCursor: true,
      clearOnComplete: true,
      stream: process.stderr,
    },
    Presets.shades_classic,
  )
  single.start(Math.max(total, 1), 0, { events: '0', rate: '0' })
  return {
    update: (done, events) => {
      single.update(Math.min(done, total), { events: unit.text(events), rate: unit.text(rate(events)) })
    },
    stop: () => single.stop(),
  }
}

function lines(total: number, title: string, unit: Unit, rate: (done: number) => number): Progress {
  let shownAt = performance.now()
  return {
    update: (done, events) => {
      if (performance.now() - shownAt < LINE_INTERVAL_MS) return
      shownAt = performance.now()
      const percentage = total === 0 ? '' : `${Math.round((done / total) * 100)}%, `
      const speed = `${unit.text(events)} ${unit.name}, ${unit.text(rate(events))} ${unit.name}/s`
      process.stderr.write(`${title}: ${percentage}${speed}\n`)
    },
    stop: () => {},
  }
}

/** A number with thousands separators. */
export const count = (value: number): string => value.toLocaleString('en-US')
