// The order of what is stored: without gaps, and that of real time.

import { type Dump, isForeign } from './history.ts'
import { type Acknowledged, type Intent, isStorer, positionsOf } from './intents.ts'
import type { Finding } from './rules.ts'
import type { Stored } from './stored.ts'

/** Whether positions and versions are contiguous, and in the order of real time. */
export function checkOrder({ after, head, entries }: Dump, stored: Stored, intents: readonly Intent[]): Finding[] {
  return [...checkPositions({ after, head, entries }), ...checkVersions(stored), ...checkRealTime(intents)]
}

function checkPositions({ after, head, entries }: Dump): Finding[] {
  const findings: Finding[] = []
  let last = after
  for (const entry of entries) {
    const [from, to] = isForeign(entry) ? entry.foreign : [entry.position, entry.position]
    if (from !== last + 1) {
      const detail = from > last ? `after ${last} comes ${from}` : `${from} comes after ${last}`
      findings.push({ rule: 'position_gap', detail, operations: [], positions: [last, from] })
    }
    last = to
  }
  if (last < head) {
    const detail = `the feed ended at ${last}, after its head had been ${head}`
    findings.push({ rule: 'position_gap', detail, operations: [], positions: [last, head] })
  }
  return findings
}

function checkVersions({ byStream }: Stored): Finding[] {
  return [...byStream].flatMap(([streamId, events]) => {
    const at = events.findIndex(({ version }, i) => version !== i + 1)
    const event = events[at]
    if (event === undefined) return []
    const detail = `${streamId} has version ${event.version} at position ${event.position}, where ${at + 1} belongs`
    return [{ rule: 'version_gap' as const, detail, operations: [], positions: [event.position] }]
  })
}

interface Span {
  intent: Intent
  first: number
  last: number
}

function checkRealTime(intents: readonly Intent[]): Finding[] {
  const spans = intents.flatMap((intent): Span[] => {
    const positions = isStorer(intent) ? positionsOf(intent) : undefined
    return positions === undefined ? [] : [{ intent, ...positions }]
  })
  const known = spans.filter(({ intent }) => intent.acknowledged.length > 0)
  known.sort((a, b) => a.intent.knownAt - b.intent.knownAt)
  spans.sort((a, b) => a.intent.startedAt - b.intent.startedAt)
  const findings: Finding[] = []
  let highest: Span | undefined
  let next = 0
  for (const { intent, first } of spans) {
    for (let span = known[next]; span !== undefined && span.intent.knownAt < intent.startedAt; span = known[++next]) {
      if (highest === undefined || span.last > highest.last) highest = span
    }
    if (highest === undefined || highest.last < first) continue
    const earlier = (highest.intent.acknowledged[0] as Acknowledged).n
    const detail = `${earlier} was acknowledged before this began, and is at the higher position ${highest.last}`
    const operations = [earlier, ...intent.attempts.map(({ n }) => n)]
    findings.push({ rule: 'real_time_order', detail, operations, positions: [highest.last, first] })
  }
  return findings
}
