// The verdict as text for people.

import type { Verdict } from './check-history.ts'
import type { History, Operation } from './history.ts'
import { type Finding, RULES, type Rule } from './rules.ts'

const FINDINGS_PER_RULE = 3
const OPERATION_CHARACTERS = 600

/** Every rule with whether it holds, and the smallest operations that show where one does not. */
export function describeVerdict({ run, operations, dump }: History, { findings, counts }: Verdict): string {
  const number = (value: number) => value.toLocaleString('en-US')
  const first = operations.reduce((least, { from_ms }) => Math.min(least, from_ms), Number.POSITIVE_INFINITY)
  const last = operations.reduce((most, { to_ms }) => Math.max(most, to_ms), 0)
  const seconds = operations.length === 0 ? 0 : (last - first) / 1_000
  const lines = [
    `${run.url}, seed ${run.seed}, ${seconds.toFixed(1)} s`,
    '',
    `  appends    ${number(counts.ok)} acknowledged (${number(counts.replayed)} as replays), ${number(counts.refused)} refused, ${number(counts.unknown)} without an answer`,
    `  settled    ${number(counts.unknown_stored)} of what was never answered turned out to be stored`,
    `  reads      ${number(counts.pages)} pages; ${number(counts.followers)} followers got ${number(counts.followed)} events`,
    `  the feed   positions ${number(dump.after + 1)} to ${number(dump.after + lengthOf(dump))}, ${number(counts.events)} events in ${number(counts.streams)} streams of the run`,
    '',
  ]
  for (const [rule, sentence] of Object.entries(RULES) as [Rule, string][]) {
    const broken = findings.filter((finding) => finding.rule === rule)
    lines.push(
      broken.length === 0 ? `  ok      ${sentence}` : `  BROKEN  ${sentence} (${rule}, ${number(broken.length)} times)`,
    )
    for (const finding of broken.slice(0, FINDINGS_PER_RULE)) lines.push(...describeFinding(finding, operations))
  }
  return lines.join('\n')
}

const lengthOf = ({ entries }: History['dump']): number =>
  entries.reduce((sum, entry) => sum + ('foreign' in entry ? entry.foreign[1] - entry.foreign[0] + 1 : 1), 0)

function describeFinding({ detail, operations: numbers }: Finding, operations: readonly Operation[]): string[] {
  const shown = numbers.slice(0, 4).flatMap((n) => {
    const operation = operations[n]
    if (operation === undefined) return []
    const text = JSON.stringify(
      operation.kind === 'append' ? operation : { ...operation, events: operation.events.length },
    )
    return [`            ${text.length > OPERATION_CHARACTERS ? `${text.slice(0, OPERATION_CHARACTERS)}…` : text}`]
  })
  return [`          ${detail}`, ...shown]
}

/** What the run has left behind. */
export function describeRemains({ run, dump }: History, { counts }: Verdict): string {
  const own = dump.entries.filter((entry) => !('foreign' in entry))
  if (own.length === 0) return 'It left nothing in the store.'
  return `It left ${own.length.toLocaleString('en-US')} events in ${counts.streams} streams whose ids begin with ${JSON.stringify(run.prefix)}; events are never removed.`
}
