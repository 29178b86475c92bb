// Expected versions: they held for what was stored, and did not hold where a conflict was told.

import type { ExpectedVersion, StoredEvent } from '../client/client.ts'
import type { AppendOperation, SentCheck, ToldConflict } from './history.ts'
import { type Intent, isStorer, positionsOf, storingAttempts, wholeOf } from './intents.ts'
import type { Finding } from './rules.ts'
import type { Stored } from './stored.ts'

/** Whether every expected version held when it was stored, and every conflict named a version that the stream had. */
export function checkConditions(intents: readonly Intent[], stored: Stored): Finding[] {
  const bounds = new VersionBounds(intents)
  return intents.flatMap((intent) => [
    ...checkStored(intent, stored),
    ...intent.attempts.flatMap((attempt) => checkRefusal(attempt, bounds, stored)),
  ])
}

const holds = (expected: ExpectedVersion, version: number): boolean =>
  expected === 'any' || (expected === 'exists' ? version > 0 : expected === version)

/** One of the attempts that may have stored it had conditions that held just before. */
function checkStored(intent: Intent, stored: Stored): Finding[] {
  if (!isStorer(intent) || wholeOf(intent) === undefined) return []
  const { first } = positionsOf(intent) as { first: number }
  const attempts = storingAttempts(intent)
  const broken = attempts.map((attempt) => brokenCondition(attempt, intent, stored, first))
  if (broken.some((condition) => condition === undefined)) return []
  const detail = `${broken[0]}, and yet it was stored at position ${first}`
  return [{ rule: 'expected_version_ignored', detail, operations: attempts.map(({ n }) => n), positions: [first] }]
}

function brokenCondition(attempt: AppendOperation, intent: Intent, stored: Stored, at: number): string | undefined {
  for (const [i, { stream_id: streamId, expected_version: expected }] of attempt.appends.entries()) {
    const version = ((intent.stored[i] as StoredEvent[])[0]?.version ?? 1) - 1
    if (!holds(expected, version)) return `${streamId} was expected at ${expected} and was at ${version}`
  }
  for (const { stream_id: streamId, expected_version: expected } of attempt.checks) {
    const version = stored.versionBefore(streamId, at)
    if (!holds(expected, version)) return `${streamId} was to be checked at ${expected} and was at ${version}`
  }
  return undefined
}

function checkRefusal(attempt: AppendOperation, bounds: VersionBounds, stored: Stored): Finding[] {
  const { answer, n } = attempt
  if (answer.outcome !== 'refused') return []
  const found = (detail: string): Finding[] => [
    { rule: 'refused_without_reason', detail, operations: [n], positions: [] },
  ]
  if (answer.event_ids !== undefined) {
    const unknown = answer.event_ids.find((id) => stored.byId(id) === undefined)
    return unknown === undefined ? [] : found(`the id ${unknown} was refused as stored, and is not`)
  }
  if (answer.conflicts === undefined) return []
  const told = answer.conflicts
  for (const { stream_id: streamId, expected_version: expected, current_version: current } of told) {
    const { least, most } = bounds.during(streamId, attempt)
    if (holds(expected, current)) return found(`${streamId} at ${current} is no conflict with ${expected}`)
    if (current < least || current > most) {
      return found(`${streamId} was said to be at ${current}; between ${least} and ${most} is possible`)
    }
  }
  const isTold = ({ stream_id: streamId, expected_version: expected }: SentCheck): boolean =>
    told.some((conflict: ToldConflict) => conflict.stream_id === streamId && conflict.expected_version === expected)
  for (const condition of [...attempt.appends, ...attempt.checks]) {
    if (isTold(condition)) continue
    const { stream_id: streamId, expected_version: expected } = condition
    const { least, most } = bounds.during(streamId, attempt)
    const canHold = expected === 'any' || (expected === 'exists' ? most > 0 : expected >= least && expected <= most)
    if (!canHold) return found(`${streamId} was between ${least} and ${most}, not at ${expected}, and was not named`)
  }
  return []
}

interface Step {
  at: number
  version: number
}

/** Which versions a stream can have had while a request was under way, from what is known about the time of appends. */
class VersionBounds {
  readonly #begun = new Map<string, Step[]>()
  readonly #known = new Map<string, Step[]>()

  constructor(intents: readonly Intent[]) {
    for (const { stored, startedAt, knownAt } of intents) {
      for (const event of stored.flat()) {
        if (event === undefined) continue
        const { stream_id: streamId, version } = event
        stepsOf(this.#begun, streamId).push({ at: startedAt, version })
        if (knownAt < Number.POSITIVE_INFINITY) stepsOf(this.#known, streamId).push({ at: knownAt, version })
      }
    }
    for (const steps of [this.#begun, this.#known]) for (const each of steps.values()) makeRising(each)
  }

  /** `least`: what was acknowledged before it began. `most`: what had been begun when it was answered. */
  during(streamId: string, { from_ms, to_ms }: AppendOperation): { least: number; most: number } {
    return {
      least: versionAt(this.#known.get(streamId) ?? [], from_ms),
      most: versionAt(this.#begun.get(streamId) ?? [], to_ms),
    }
  }
}

function stepsOf(map: Map<string, Step[]>, streamId: string): Step[] {
  const steps = map.get(streamId) ?? []
  map.set(streamId, steps)
  return steps
}

/** By time, each with the highest version up to then. */
function makeRising(steps: Step[]): void {
  steps.sort((a, b) => a.at - b.at)
  let highest = 0
  for (const step of steps) {
    highest = Math.max(highest, step.version)
    step.version = highest
  }
}

/** The version of the last step before `time`. */
function versionAt(steps: readonly Step[], time: number): number {
  let low = 0
  let high = steps.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((steps[middle] as Step).at < time) low = middle + 1
    else high = middle
  }
  return steps[low - 1]?.version ?? 0
}
