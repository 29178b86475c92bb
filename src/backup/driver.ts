// What each type of backup does. A driver fills a folder, looks at a folder, and puts a folder's contents into a store;
// names, the catalogue, where folders are kept, locks and the comparison after a restore are the same for all.

import type pg from 'pg'
import type { StoreAddress } from '../db/backup/store-connection.ts'
import type { StoreContents } from '../db/backup/store-contents.ts'
import type { Manifest, ManifestFile } from './manifest.ts'
import type { Progress } from './progress.ts'
import type { TableGroup } from './table-groups.ts'

/** Of the settings, what programs and other servers than PostgreSQL need. */
export interface JobTools {
  /** Folder of PostgreSQL's programs; where it is absent they are looked for. */
  pgBin?: string | undefined
  /** Folder of pgBackRest's repository. */
  pgbackrestRepository?: string | undefined
  /** Redis with the counters of the rate limit. */
  redisUrl?: string | undefined
}

/** What every step of a job is handed. */
export interface JobContext extends JobTools {
  /** When it aborts, the step ends soon, by throwing, and leaves nothing half done. */
  signal: AbortSignal
  progress(progress: Progress): void
  /** One line for the operator. */
  log(line: string): void
}

/** A backup whose files lie in a folder of this machine. The folder is read, never written. */
export interface OpenBackup {
  manifest: Manifest
  folder: string
}

/** What the caller may choose; each driver says which of them it takes. */
export interface CreateOptions {
  format?: 'custom' | 'plain'
  gzip?: boolean
  tables?: string[]
  /** Of pgBackRest. */
  kind?: 'full' | 'diff' | 'incr'
}

export interface CreateRequest extends JobContext {
  id: string
  /** Empty; what lies in it afterwards is the backup. Names of files are made by the driver. */
  folder: string
  source: StoreAddress
  /** The backup that this one adds to, and those before it, oldest first; empty for a whole one. */
  bases: OpenBackup[]
  options: CreateOptions
}

export interface CreateResult {
  /** What made it, with its version, for instance `pg_dump 18.1`. */
  tool: string
  /** What was in the store at the moment that the backup shows; null when it can't be told. */
  contents: StoreContents | null
  /** Files whose hash is known already; the others are read once more. */
  files?: ManifestFile[]
  /** The driver's own part of the manifest. */
  details: Record<string, unknown>
}

/**
 * 0: the files are there, with the sizes and hashes of the manifest. 1: they can be read to the end and hold what the
 * manifest says. 2: restored into a scratch database, everything is there. 3: and it is the same as in the live store.
 */
export type VerifyLevel = 0 | 1 | 2 | 3

export interface ReadRequest extends JobContext {
  /** Oldest first; the last one is the backup that is meant, the others are what it adds to. */
  chain: OpenBackup[]
}

/** A part of a backup; all of it when absent. */
export interface Part {
  /** Of the tables of `src/db/backup/store-tables.ts`, those that are wanted. */
  tables?: readonly string[]
  /** Of the events those of one stream, into another table than `events`. */
  stream?: { id: string; into: string }
}

export interface LoadRequest extends ReadRequest {
  /** In a transaction that the caller commits, after it has compared what is there. */
  client: pg.Client
  /** Holds the store's tables, without rows. */
  schema: string
  part?: Part
}

export interface RestoreRequest extends ReadRequest {
  /** A database that is empty; `schema` is that of the store that was backed up. */
  target: StoreAddress
}

/** How what is no part of a store comes back. Each answers what it found there, by name. */
export interface OutsideStore {
  /** Into a server of its own, which is gone afterwards. @throws BackupError `different`, `failed`, `refused` */
  tryOut(request: ReadRequest): Promise<Record<string, number>>
  /** Into a server that holds nothing. @throws BackupError; then it holds nothing again */
  restore(request: ReadRequest, url: string): Promise<Record<string, number>>
  /** What a URL of such a server looks like. */
  readonly scheme: RegExp
}

export interface BackupDriver {
  readonly type: string
  /** For `annals backup types` and `GET /backups/types`. */
  readonly about: { summary: string; advantages: string[]; disadvantages: string[]; needs: string[] }
  readonly isIncremental: boolean
  /** Of the options; the others are refused. */
  readonly takes: readonly (keyof CreateOptions)[]
  /** What is wrong with those that it takes. @throws OptionError */
  checkOptions?(options: CreateOptions): void
  /** With options that were checked. @throws BackupError `refused` before anything is written, `failed`, `stopped` */
  create(request: CreateRequest): Promise<CreateResult>
  /** Level 1, after level 0 has passed. @throws BackupError `damaged` at the first thing that is wrong */
  read(request: ReadRequest): Promise<void>
  /**
   * Fills the tables of a store, for what can do without the tables' definitions: straight into a store in use too.
   * @throws BackupError `damaged`, `refused`
   */
  load?(request: LoadRequest): Promise<void>
  /** Fills a database, for what brings definitions along. @throws BackupError `damaged`, `failed`, `stopped` */
  restore?(request: RestoreRequest): Promise<void>
  /** With `restore`: what it has of a store with its rows, so that it can be put into one that is in use. */
  readonly holds?: readonly TableGroup[]
  /** For what lies in another server than PostgreSQL. */
  readonly outside?: OutsideStore
}
