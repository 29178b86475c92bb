// Where backups are kept: each as one folder of that name, with manifest.json written last.

import type { JobContext, OpenBackup } from '../driver.ts'
import type { Manifest } from '../manifest.ts'

/** A manifest as it lies beside the files. */
export interface FoundBackup {
  manifest: Manifest
  /** The text of the manifest, of which the catalogue keeps the hash. */
  text: string
}

export interface FoundBackups {
  backups: FoundBackup[]
  /** What looks like a backup and can't be read, in words. */
  faults: string[]
}

/** A folder that is being filled. */
export interface Staged {
  id: string
  /** On this machine. */
  folder: string
  /** Makes it a backup, whole and durable; the manifest lies in the folder already. */
  commit(context: JobContext): Promise<void>
  /** Leaves nothing behind. */
  discard(): Promise<void>
}

export interface Destination {
  /** For the catalogue and for people, without secrets: an absolute path, `s3://bucket/prefix`, … */
  readonly name: string
  /** Begins a backup under an id that nobody else has. */
  stage(): Promise<Staged>
  list(): Promise<FoundBackups>
  /** @throws BackupError `not_found`, `damaged` */
  find(id: string): Promise<FoundBackup>
  /** Brings the files here where they are elsewhere; `release` gives the space back. */
  open(found: FoundBackup, context: JobContext): Promise<OpenBackup & { release(): Promise<void> }>
  /** Afterwards it is not listed any more, even if this breaks off. */
  remove(id: string): Promise<void>
}
