// Every kind of place for backups; one line each.

import { BackupError } from './backup-error.ts'
import type { Destination } from './destination.ts'
import { folderDestination } from './folder-destination.ts'

/** What opens an address, by what stands before its first colon. */
const SCHEMES: Readonly<Record<string, (address: string) => Destination>> = {}

/** A path, or `scheme:…`. @throws BackupError `refused` */
export function openDestination(address: string): Destination {
  const scheme = /^([a-z][a-z0-9+-]+):/.exec(address)?.[1]
  if (scheme === undefined) return folderDestination(address)
  const open = SCHEMES[scheme]
  if (open !== undefined) return open(address)
  throw new BackupError('refused', `backups can't be kept in ${scheme}:…; give a folder`)
}
