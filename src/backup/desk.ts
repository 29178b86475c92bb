// What a backup command or route works with: a store, maybe, and a place for backups.

import type { StoreAddress } from '../db/backup/store-connection.ts'
import type { RunQuery } from '../db/run-query.ts'
import type { Destination } from './destinations/destination.ts'

export interface Desk {
  destination: Destination
  /** Undefined when the database is lost, or not needed: then only files are known, and nothing is recorded. */
  store: StoreAddress | undefined
  /** Reads the catalogue over a connection that is there already; without it, one is opened each time. */
  query?: RunQuery
}
