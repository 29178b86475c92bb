// What a drill is: steps that really happen to clusters of its own, each timed, each of which can be begun again.

import type { Desk } from '../desk.ts'
import type { JobContext } from '../driver.ts'
import type { BackupPolicy } from '../policy/policy.ts'
import type { Clusters } from './clusters.ts'

/** The steps of an incident: before it, it, and the eight of a recovery in four groups. */
export type Phase = 'prepare' | 'incident' | 'detect' | 'recover' | 'verify'

/** What a step is handed. */
export interface DrillContext extends JobContext {
  /** The live store and its backups: read, never written. */
  desk: Desk
  /** Undefined when there is no second place. */
  offsite: Desk['destination'] | undefined
  policy: Readonly<BackupPolicy>
  clusters: Clusters
  /** Where the drill keeps what is its own. */
  folder: string
  options: DrillOptions
  /** What earlier steps have found out; kept across a kill. */
  facts: Record<string, string | number>
}

export interface DrillOptions {
  /** Folder with `bin` and `lib` of an older PostgreSQL, for the upgrade. */
  fromBinaries?: string
}

/** What is known before anything is begun. */
export type Refusable = Pick<DrillContext, 'desk' | 'options' | 'pgBin' | 'signal'>

export interface DrillStep {
  title: string
  phase: Phase
  /** Answers the evidence in one sentence. One that was broken off is run again, from its beginning. @throws when it is not so */
  run(context: DrillContext): Promise<string>
}

export interface Scenario {
  name: string
  summary: string
  /** Why it can't run here, in words. */
  refusal?(context: Refusable): string | undefined | Promise<string | undefined>
  steps: readonly DrillStep[]
}
