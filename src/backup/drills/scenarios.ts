// Every scenario; one line each.

import { BackupError } from '../backup-error.ts'
import { corruptedPage } from './corrupted-page.ts'
import { failover } from './failover.ts'
import { killService } from './kill-service.ts'
import { lostDatabase } from './lost-database.ts'
import { pitr } from './pitr.ts'
import type { Scenario } from './scenario.ts'
import { upgrade } from './upgrade.ts'

export const SCENARIOS: readonly Scenario[] = [lostDatabase, corruptedPage, killService, failover, pitr, upgrade]

/** @throws BackupError `refused` */
export function scenarioOf(name: string): Scenario {
  const scenario = SCENARIOS.find((each) => each.name === name)
  if (scenario !== undefined) return scenario
  throw new BackupError(
    'refused',
    `there is no scenario ${name}; those that are: ${SCENARIOS.map((each) => each.name).join(', ')}`,
  )
}
