// The program restic, where it is installed.

import { execFileSync } from 'node:child_process'

/** Why tests with it can't run here; false when they can. */
export const isResticAbsent = (() => {
  try {
    execFileSync('restic', ['version'])
    return false
  } catch {
    return 'restic is not installed: apt-get install restic'
  }
})()
