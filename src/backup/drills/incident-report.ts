// The record of a drill as an incident report that is filled in.

import type { BackupError } from '../backup-error.ts'
import type { BackupPolicy } from '../policy/policy.ts'
import type { DrillState } from './drill-state.ts'
import type { Scenario } from './scenario.ts'

/** What counts as recovery: all from the moment that the damage is done. */
const RECOVERY: readonly string[] = ['detect', 'recover', 'verify']

interface Reported {
  state: DrillState
  policy: BackupPolicy
}

/** In seconds: the sum of the steps, so that the time in which a killed drill lay still does not count. */
export function measured({ state, policy }: Reported): { rto: number; objective: number } {
  const { rto_seconds: objectives } = policy.objectives
  const objective = objectives[state.scenario] ?? objectives['default'] ?? Number.POSITIVE_INFINITY
  const { rto_ms: ms } = state.facts
  if (typeof ms === 'number') return { rto: ms / 1000, objective }
  const seconds = state.steps.filter(({ phase }) => RECOVERY.includes(phase)).map((step) => step.seconds)
  return { rto: Math.round(seconds.reduce((sum, each) => sum + each, 0) * 1000) / 1000, objective }
}

/** Markdown. */
export function incidentReport(scenario: Scenario, reported: Reported, failure: BackupError | undefined): string {
  const { state, policy } = reported
  const { rto, objective } = measured(reported)
  const lost = state.facts['lost_events'] ?? 0
  const outcome = failure === undefined ? 'recovered' : `not recovered: ${failure.message}`
  const met = (isMet: boolean) => (isMet ? 'met' : '**missed**')
  return `# Drill ${state.scenario}, ${state.started_at.slice(0, 10)}

${scenario.summary[0]?.toUpperCase()}${scenario.summary.slice(1)}.

| | |
| --- | --- |
| id | \`${state.id}\` |
| outcome | ${outcome} |
| begun | ${state.started_at} |
| ended | ${state.finished_at ?? 'not yet'} |
| backup | ${backupOf(state)} |
| taken up again | ${state.resumed === 0 ? 'never' : `${state.resumed} times after it was broken off`} |
| recovery took | ${failure === undefined ? `${rto} s; the objective is ${objective} s: ${met(rto <= objective)}` : 'not measured'} |
| lost | ${lost} events; the objective is ${policy.objectives.rpo_seconds} s of data |

## Timeline

| begun | seconds | phase | what |
| --- | --- | --- | --- |
${state.steps.map((step) => `| ${step.started_at} | ${step.seconds} | ${step.phase} | ${step.title} |`).join('\n')}

## Evidence

${state.steps.map((step, i) => `${i + 1}. ${step.title}: ${step.evidence}.`).join('\n')}
${failure === undefined ? '' : `\n${[failure.message, ...failure.evidence].map((line) => `- ${line}`).join('\n')}\n`}
## To do

- What took longest: ${slowest(state)}.
- Notify, document, prevent: to be filled in by who is on call.
`
}

const backupOf = ({ facts: { backup, place } }: DrillState): string =>
  backup === undefined ? 'none was found' : `\`${backup}\` in ${place}`

const slowest = ({ steps }: DrillState): string => {
  const [first] = steps.toSorted((a, b) => b.seconds - a.seconds)
  return first === undefined ? 'nothing was done' : `${first.title.toLowerCase()} (${first.seconds} s)`
}
