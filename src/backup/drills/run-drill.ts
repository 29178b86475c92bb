// Runs the steps of a scenario one after another, and writes down what is done after each.

import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { makeFolders } from '../../make-folders.ts'
import { asBackupError, BackupError, describeCause } from '../backup-error.ts'
import type { Desk } from '../desk.ts'
import type { JobContext } from '../driver.ts'
import type { BackupPolicy } from '../policy/policy.ts'
import { runJob } from '../run-job.ts'
import { Clusters } from './clusters.ts'
import { type DrillState, readState, writeState } from './drill-state.ts'
import { incidentReport, measured } from './incident-report.ts'
import type { DrillOptions, Scenario } from './scenario.ts'
import { scenarioOf } from './scenarios.ts'

export interface DrillOrder {
  scenario: string
  desk: Desk
  offsite: Desk['destination'] | undefined
  policy: BackupPolicy
  /** DRILL_DIR. */
  root: string
  options: DrillOptions
}

export interface Drilled {
  id: string
  scenario: string
  /** That the drill's store came from, and where it was. */
  backup: string
  place: string
  rto_seconds: number
  rto_objective_seconds: number
  is_rto_met: boolean
  report: string
}

/** One that was broken off is taken up again. @throws BackupError, and the report says how far it came */
export async function runDrill(order: DrillOrder, context: JobContext): Promise<Drilled> {
  const scenario = scenarioOf(order.scenario)
  const refusal = await scenario.refusal?.({ ...context, desk: order.desk, options: order.options })
  if (refusal !== undefined) throw new BackupError('refused', refusal)
  const root = resolve(order.root)
  const definition = { kind: 'drill', backupId: null, request: { scenario: scenario.name } } as const
  const { drilled } = await runJob(order.desk.store, definition, context, async (context) => {
    const { folder, state } = unfinished(root, scenario.name) ?? begin(root, scenario.name)
    const { length: done } = state.steps
    if (state.resumed > 0) context.log(`going on with ${state.id}, after ${done} of ${scenario.steps.length} steps`)
    await goThrough(scenario, { ...order, folder, state }, context)
    const drilled = conclude(scenario, { ...order, folder, state })
    return { drilled, result: { ...drilled } }
  })
  return drilled
}

interface Running extends DrillOrder {
  folder: string
  state: DrillState
}

async function goThrough(scenario: Scenario, running: Running, context: JobContext): Promise<void> {
  const { desk, offsite, policy, folder, state, options } = running
  const clusters = new Clusters(folder, context.log)
  const drill = { ...context, desk, offsite, policy, clusters, folder, options, facts: state.facts }
  try {
    for (const step of scenario.steps.slice(state.steps.length)) {
      const [startedAt, from] = [new Date().toISOString(), performance.now()]
      context.log(`${step.phase}: ${step.title}`)
      const evidence = await step.run(drill)
      const seconds = Math.round(performance.now() - from) / 1000
      const { title, phase } = step
      state.steps.push({
        title,
        phase,
        started_at: startedAt,
        finished_at: new Date().toISOString(),
        seconds,
        evidence,
      })
      writeState(folder, state)
      context.log(`  ${seconds} s: ${evidence}`)
    }
    await cleanUp(clusters, folder)
    state.finished_at = new Date().toISOString()
    writeState(folder, state)
  } catch (error) {
    const failure = context.signal.aborted ? stopped(running) : asBackupError(error)
    if (failure.kind === 'stopped') {
      await clusters.stopAll()
    } else {
      // It is over: what went wrong is in the report, and its clusters would fill the disk.
      await cleanUp(clusters, folder).catch((cause: Error) =>
        context.log(`${folder} could not be cleared: ${cause.message}`),
      )
      state.finished_at = new Date().toISOString()
      writeState(folder, state)
    }
    const report = join(folder, 'report.md')
    writeFileSync(report, incidentReport(scenario, running, failure))
    context.log(`how far it came is in ${report}`)
    throw failure
  }
}

const stopped = ({ folder, state }: Running): BackupError =>
  new BackupError('stopped', `it was stopped; annals dr drill ${state.scenario} goes on with it, from ${folder}`)

function conclude(scenario: Scenario, running: Running): Drilled {
  const report = join(running.folder, 'report.md')
  writeFileSync(report, incidentReport(scenario, running, undefined))
  const { rto, objective } = measured(running)
  const { backup, place } = running.state.facts
  return {
    ...{ id: running.state.id, scenario: scenario.name, backup: String(backup), place: String(place) },
    ...{ rto_seconds: rto, rto_objective_seconds: objective, is_rto_met: rto <= objective, report },
  }
}

const folders = (root: string): string[] =>
  existsSync(root)
    ? readdirSync(root)
        .filter((name) => name.startsWith('drill_'))
        .toSorted()
    : []

/** The newest of the scenario that came to no end. */
function unfinished(root: string, scenario: string): { folder: string; state: DrillState } | undefined {
  for (const name of folders(root).toReversed()) {
    const folder = join(root, name)
    if (!existsSync(join(folder, 'state.json'))) continue
    const state = readState(folder)
    if (state.scenario !== scenario || state.finished_at !== null) continue
    state.resumed++
    return { folder, state }
  }
  return undefined
}

function begin(root: string, scenario: string): { folder: string; state: DrillState } {
  const at = new Date().toISOString()
  const id = `drill_${at.replace(/\D/g, '').slice(0, 14)}_${scenario}`
  const folder = join(root, id)
  try {
    makeFolders(folder, 0o711)
  } catch (cause) {
    throw new BackupError('refused', `${folder} can't be made: ${describeCause(cause)}`, { cause })
  }
  const state = { id, scenario, started_at: at, resumed: 0, steps: [], facts: {}, finished_at: null }
  writeState(folder, state)
  return { folder, state }
}

/** Only state.json and the report stay. */
async function cleanUp(clusters: Clusters, folder: string): Promise<void> {
  await clusters.stopAll()
  for (const name of readdirSync(folder)) {
    if (name === 'state.json' || name === 'report.md') continue
    await clusters.destroy(name)
    rmSync(join(folder, name), { recursive: true, force: true })
  }
}
