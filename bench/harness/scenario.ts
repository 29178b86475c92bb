// What a scenario is, and what it has to work with.

import type { Closers } from './closers.ts'
import type { Server } from './server.ts'
import type { ServiceProgram } from './service.ts'
import { type Figures, Rounds, type Spread } from './statistics.ts'

export interface Scenario {
  name: string
  /** One sentence for the list of scenarios and for the results. */
  about: string
  /** Takes minutes: runs only when it is named. */
  isLong?: boolean
  run(bench: Bench): Promise<Outcome>
}

export interface Bench {
  server: Server
  program: ServiceProgram
  /** Stops what this scenario started. */
  closers: Closers
  rounds: number
  /** Length of a measured leg. */
  seconds: number
  /** Smaller data, for trying the bench itself. */
  isQuick: boolean
  say(text: string): void
}

export interface Outcome {
  bars: Bar[]
  rounds: Rounds
  notes: string[]
}

/** What Annals has to reach; `aim` is what it should. */
export interface Bar {
  what: string
  against: string
  reached: Spread
  unit: '×' | 'ms' | 'µs' | 'MB' | 's'
  atLeast?: number
  atMost?: number
  aim?: number
}

export const isMet = ({ reached, atLeast, atMost }: Bar): boolean =>
  (atLeast === undefined || reached.median >= atLeast) && (atMost === undefined || reached.median <= atMost)

export type Leg = (seconds: number) => Promise<Figures>

const WARM_UP_SECONDS = 1

/** Runs the legs one after another, round by round (A B A B …), after a round that is not counted. */
export async function interleave(bench: Bench, legs: Record<string, Leg>): Promise<Rounds> {
  const measured: Record<string, Figures[]> = Object.fromEntries(Object.keys(legs).map((name) => [name, []]))
  for (let round = 0; round <= bench.rounds; round++) {
    for (const [name, leg] of Object.entries(legs)) {
      const figures = await leg(round === 0 ? Math.min(WARM_UP_SECONDS, bench.seconds) : bench.seconds)
      bench.say(`${round === 0 ? 'warm-up' : `round ${round}`}  ${name}  ${inShort(figures)}`)
      if (round > 0) measured[name]?.push(figures)
    }
  }
  return new Rounds(measured)
}

const inShort = (figures: Figures): string =>
  Object.entries(figures)
    .filter(([, value]) => !Number.isNaN(value))
    .map(([name, value]) => `${name} ${value >= 1000 ? Math.round(value) : Number(value.toPrecision(3))}`)
    .join('  ')
