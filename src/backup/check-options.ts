// What the caller chose for a backup, against what its type takes: found out before a job begins.

import { OptionError } from './backup-error.ts'
import type { BackupDriver, CreateOptions } from './driver.ts'

/** @throws OptionError for the first option that the type does not take, or not like this */
export function checkOptions(driver: BackupDriver, options: CreateOptions): void {
  const given = (Object.keys(options) as (keyof CreateOptions)[]).filter((name) => options[name] !== undefined)
  const foreign = given.find((name) => !driver.takes.includes(name))
  if (foreign !== undefined) {
    const taken = driver.takes.length === 0 ? 'no options' : driver.takes.join(', ')
    throw new OptionError(foreign, 'not_of_this_type', `is not for backups of type ${driver.type}, which take ${taken}`)
  }
  driver.checkOptions?.(options)
}
