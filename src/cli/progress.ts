// A bar with rate and remaining time on a terminal; a line every few seconds where output goes to a file.

import { Presets, SingleBar } from 'cli-progress'

export interface Progress {
  /** How far it is, and how many events that is. */
  update(done: number, events: number): void
  stop(): void
}

const LINE_INTERVAL_MS = 5_000

/** Shows progress from 0 to `total` on standard error. */
export function startProgress(total: number, title: string): Progress {
  const startedAt = performance.now()
  const rate = (events: number) => Math.round(events / Math.max((performance.now() - startedAt) / 1000, 0.001))
  return process.stderr.isTTY ? bar(total, title, rate) : lines(total, title, rate)
}

function bar(total: number, title: string, rate: (events: number) => number): Progress {
  const single = new SingleBar(
    {
      format: `${title} {bar} {percentage}% | {events} events | {rate} events/s | {eta_formatted} left`,
      hideCursor: true,
      clearOnComplete: true,
      stream: process.stderr,
    },
    Presets.shades_classic,
  )
  single.start(Math.max(total, 1), 0, { events: '0', rate: '0' })
  return {
    update: (done, events) => {
      single.update(Math.min(done, total), { events: count(events), rate: count(rate(events)) })
    },
    stop: () => single.stop(),
  }
}

function lines(total: number, title: string, rate: (events: number) => number): Progress {
  let shownAt = performance.now()
  return {
    update: (done, events) => {
      if (performance.now() - shownAt < LINE_INTERVAL_MS) return
      shownAt = performance.now()
      const percentage = Math.round((done / Math.max(total, 1)) * 100)
      process.stderr.write(`${title}: ${percentage}%, ${count(events)} events, ${count(rate(events))} events/s\n`)
    },
    stop: () => {},
  }
}

/** A number with thousands separators. */
export const count = (value: number): string => value.toLocaleString('en-US')
