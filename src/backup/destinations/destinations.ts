// Every kind of place for backups; one line each.

import { BackupError } from '../backup-error.ts'
import type { Destination } from './destination.ts'
import { folderDestination } from './folder-destination.ts'
import { type ResticAccess, resticDestination } from './restic-destination.ts'
import { type S3Access, s3Destination } from './s3-destination.ts'

/** The settings that other places than folders need. */
export type DestinationAccess = S3Access & ResticAccess

/** What opens an address, by what stands before its first colon. */
const SCHEMES: Readonly<Record<string, (address: string, access: DestinationAccess) => Destination>> = {
  s3: s3Destination,
  restic: resticDestination,
}

/** A path, or `scheme:…`. @throws BackupError `refused` */
export function openDestination(address: string, access: DestinationAccess = {}): Destination {
  const scheme = /^([a-z][a-z0-9+-]+):/.exec(address)?.[1]
  if (scheme === undefined) return folderDestination(address)
  const open = SCHEMES[scheme]
  if (open !== undefined) return open(address, access)
  throw new BackupError(
    'refused',
    `backups can't be kept in ${scheme}:…; give a folder, s3://bucket/prefix or restic:REPOSITORY`,
  )
}
