// Load over HTTP: what the generator (children/load-generator.ts) is asked to do and what it answers.

import { runTask } from './child.ts'

export interface LoadTask {
  port: number
  connections: number
  warmUpSeconds: number
  seconds: number
  /** At most so many requests a second; as many as the service answers when absent. */
  ratePerSecond?: number
  work: Work
}

export type Work =
  /** Appends without a condition to `streams` streams, chosen at random. */
  | { kind: 'append'; eventsPerRequest: number; streams: number; firstSerial: number }
  /** Appends of one event with the exact version, to streams that are the same for all connections. */
  | { kind: 'storm'; streams: string[]; firstSerial: number }
  /** The same append, with its event id, again and again. */
  | { kind: 'replay'; streamId: string; body: string }
  | { kind: 'get'; paths: string[] }

export interface LoadResult {
  /** Answers after the warm-up. */
  answers: number
  /** What took them. */
  seconds: number
  p50Ms: number
  p99Ms: number
  bytes: number
  /** Answers of each status, warm-up included. */
  statuses: Record<string, number>
  /** Processor time of the generator per second. */
  generatorCores: number
  /** Acknowledged appends, warm-up included: first position, and first serial number. */
  positions: Float64Array
  serials: Float64Array
}

/** Runs one load; `started` is called when the warm-up is over. */
export const runLoad = (task: LoadTask, started?: () => void): Promise<LoadResult> =>
  runTask<LoadTask, LoadResult>('load-generator.ts', task, task.warmUpSeconds + task.seconds + 30, started)
