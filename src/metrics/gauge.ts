// Gauges that ask for their value when they are scraped. What they ask must not wait for the database.

import { Gauge } from 'prom-client'
import type { MetricsRegistry } from './registry.ts'

/** One value; while that is undefined or null there is none, rather than the 0 of a new gauge. */
export function gauge(
  registry: MetricsRegistry,
  name: string,
  help: string,
  value: () => number | null | undefined,
): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      const now = value() ?? null
      if (now === null) this.remove()
      else this.set(now)
    },
  })
}

/** A value for each text that the label has at the moment; for one whose value is null there is none. */
export function labelledGauge(
  registry: MetricsRegistry,
  name: string,
  help: string,
  label: string,
  values: () => Iterable<readonly [text: string, value: number | null]>,
): void {
  new Gauge({
    name,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      this.reset()
      for (const [text, value] of values()) if (value !== null) this.set({ [label]: text }, value)
    },
  })
}
