// What is in a store at one moment, small enough to be written beside a backup and compared after a restore.

/** Counts are of rows; digests are described in docs/reference/archive.md. */
export interface StoreContents {
  /** Null when the store has none yet. */
  epoch: string | null
  /** Last position handed out. */
  head: number
  events: number
  snapshots: number
  events_digest: string
  snapshots_digest: string
  /** Highest migration that was applied. */
  migration: number
}
