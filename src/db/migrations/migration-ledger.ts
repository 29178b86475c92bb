// The table annals_migrations: what was applied to this schema, and how it compares with the files of this version.

import { VERSION } from '../../version.ts'
import type { RunQuery } from '../run-query.ts'
import { quoteIdentifier, rfc3339 } from '../sql.ts'
import { checkGaps, type MigrationFile } from './migration-files.ts'

/**
 * `applied`: with this text. `pending`: not yet. `changed`: the file was edited or renamed after it was applied.
 * `missing`: applied, and its file is not there.
 */
export type EntryState = 'applied' | 'pending' | 'changed' | 'missing'

/** `drift`: a migration is changed or missing. `newer`: the database has migrations that this version does not know. */
export type OverallState = 'up_to_date' | 'pending' | 'drift' | 'newer'

export interface MigrationEntry {
  version: number
  name: string
  /** Null when the file is missing, as is `checksum`. */
  description: string | null
  breaking: string | null
  state: EntryState
  checksum: string | null
  applied_checksum: string | null
  /** RFC 3339. */
  applied_at: string | null
  duration_ms: number | null
  /** `role@host/program/process id`. */
  applied_by: string | null
  /** Why a pending migration is not applied, when it was tried. */
  failure: { at: string; error: string } | null
  /** What was decided about it by hand. */
  note: string | null
}

export interface MigrationStatus {
  status: OverallState
  /** Highest version that is applied; 0 for none. */
  current: number
  /** Highest version that this Annals knows. */
  latest: number
  migrations: MigrationEntry[]
}

interface LedgerRow {
  version: number
  name: string
  checksum: string
  /** Only `applied` counts; the others are kept for the reader. */
  state: 'applied' | 'failed' | 'reverted' | 'forgotten'
  at: string
  duration_ms: number
  by: string
  error: string | null
  note: string | null
}

export interface LedgerRecord {
  state: LedgerRow['state']
  durationMs: number
  by: string
  error?: string
  note?: string
}

const TABLE_IS_ABSENT = new Set(['42P01', '3F000'])

/** Compares the files with the ledger, in one statement. @throws MigrationFilesError for a gap in the numbers */
export async function readStatus(query: RunQuery, schema: string, files: MigrationFile[]): Promise<MigrationStatus> {
  const rows = await readLedger(query, schema)
  const applied = rows.filter(({ state }) => state === 'applied').map(({ version }) => version)
  const known = rows.filter(({ state }) => state === 'applied' || state === 'forgotten').map(({ version }) => version)
  checkGaps(files, (version) => known.includes(version))
  const versions = [...new Set([...files.map(({ version }) => version), ...applied])].toSorted((a, b) => a - b)
  const migrations = versions.map((version) =>
    toEntry(
      files.find((file) => file.version === version),
      rows.find((row) => row.version === version),
    ),
  )
  const current = Math.max(0, ...applied)
  const latest = files.at(-1)?.version ?? 0
  return { status: overall(migrations, current, latest), current, latest, migrations }
}

/** Why this version of Annals must not work on the database, in words; undefined when it may. */
export function refusal({ status, current, latest, migrations }: MigrationStatus): string | undefined {
  if (status === 'newer') {
    const names = migrations.filter(({ version }) => version > latest).map(({ name }) => name)
    return (
      `the database is newer than this Annals: it is at migration ${current} (${names.join(', ')}), and Annals ` +
      `${VERSION} knows migrations up to ${latest}. Start a newer Annals`
    )
  }
  if (status !== 'drift') return undefined
  const differences = migrations.flatMap(({ name, state, checksum, applied_checksum }) => {
    if (state === 'missing') return [`${name} was applied, and its file is missing`]
    if (state !== 'changed') return []
    if (checksum === applied_checksum) return [`${name} was applied under another name`]
    return [`${name} was changed after it was applied (checksum then ${applied_checksum}, now ${checksum})`]
  })
  return (
    `the migrations of the database and of Annals ${VERSION} differ: ${differences.join('; ')}. ` +
    'Bring the files back as they were, or accept each difference with `annals migrate repair`'
  )
}

/** Makes the schema and the table where they are absent; what is there needs no right to make it. */
export async function createLedger(query: RunQuery, schema: string): Promise<void> {
  await createSchema(query, schema)
  const { rows } = await query('SELECT to_regclass($1) IS NULL AS is_absent', [table(schema)])
  if (!rows[0]?.['is_absent']) return
  await query(`CREATE TABLE ${table(schema)} (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('applied', 'failed', 'reverted', 'forgotten')),
    applied_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    duration_ms INTEGER NOT NULL,
    applied_by TEXT NOT NULL,
    error TEXT,
    note TEXT
  )`)
}

/** Creates the schema when it is absent; CREATE SCHEMA IF NOT EXISTS would need a right that it then does not use. */
export async function createSchema(query: RunQuery, schema: string): Promise<void> {
  const { rows } = await query('SELECT to_regnamespace($1) IS NULL AS is_absent', [quoteIdentifier(schema)])
  if (rows[0]?.['is_absent']) await query(`CREATE SCHEMA ${quoteIdentifier(schema)}`)
}

/** Writes what became of a migration; a failure never replaces a success. */
export async function record(
  query: RunQuery,
  schema: string,
  { version, name, checksum }: { version: number; name: string; checksum: string },
  { state, durationMs, by, error, note }: LedgerRecord,
): Promise<void> {
  await query(
    `INSERT INTO ${table(schema)} AS ledger (version, name, checksum, state, duration_ms, applied_by, error, note)
     VALUES ($1, $2, $3, $4, $5, session_user || $6, $7, $8)
     ON CONFLICT (version) DO UPDATE SET
       name = excluded.name, checksum = excluded.checksum, state = excluded.state, applied_at = clock_timestamp(),
       duration_ms = excluded.duration_ms, applied_by = excluded.applied_by, error = excluded.error,
       note = nullif(concat_ws(E'\\n', ledger.note, excluded.note), '')
     WHERE ledger.state <> 'applied' OR excluded.state <> 'failed'`,
    [version, name, checksum, state, Math.round(durationMs), by, error ?? null, note ?? null],
  )
}

/** Takes the file as it is now for what was applied, and notes who said so. */
export async function acceptChecksum(
  query: RunQuery,
  schema: string,
  { version, name, checksum }: MigrationFile,
  note: string,
): Promise<void> {
  await query(
    `UPDATE ${table(schema)}
     SET name = $2, checksum = $3, note = concat_ws(E'\\n', note, $4::text || ' by ' || session_user) WHERE version = $1`,
    [version, name, checksum, note],
  )
}

async function readLedger(query: RunQuery, schema: string): Promise<LedgerRow[]> {
  try {
    const { rows } = await query(
      `SELECT version, name, checksum, state, ${rfc3339('applied_at')} AS at, duration_ms, applied_by AS by, error, note
       FROM ${table(schema)} ORDER BY version`,
    )
    return rows as unknown as LedgerRow[]
  } catch (error) {
    if (TABLE_IS_ABSENT.has((error as { code?: string }).code ?? '')) return []
    throw error
  }
}

function toEntry(file: MigrationFile | undefined, row: LedgerRow | undefined): MigrationEntry {
  const isApplied = row?.state === 'applied'
  return {
    version: (file ?? row)?.version as number,
    name: (file ?? row)?.name as string,
    description: file?.description ?? null,
    breaking: file?.breaking ?? null,
    state: stateOf(file, isApplied ? row : undefined),
    checksum: file?.checksum ?? null,
    applied_checksum: isApplied ? row.checksum : null,
    applied_at: isApplied ? row.at : null,
    duration_ms: isApplied ? row.duration_ms : null,
    applied_by: isApplied ? row.by : null,
    failure: row?.state === 'failed' ? { at: row.at, error: row.error ?? '' } : null,
    note: row?.note ?? null,
  }
}

function stateOf(file: MigrationFile | undefined, row: LedgerRow | undefined): EntryState {
  if (file === undefined) return 'missing'
  if (row === undefined) return 'pending'
  return row.checksum === file.checksum && row.name === file.name ? 'applied' : 'changed'
}

function overall(migrations: MigrationEntry[], current: number, latest: number): OverallState {
  const states = migrations.filter(({ version }) => version <= latest).map(({ state }) => state)
  if (current > latest) return 'newer'
  if (states.includes('changed') || states.includes('missing')) return 'drift'
  return states.includes('pending') ? 'pending' : 'up_to_date'
}

const table = (schema: string): string => `${quoteIdentifier(schema)}.annals_migrations`
