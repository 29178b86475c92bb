// annals_attestations: backups that were made elsewhere, because somebody says so.

import type { RunQuery } from '../run-query.ts'
import { quoteIdentifier, rfc3339 } from '../sql.ts'

export interface Attestation {
  /** `attested_YYYYMMDD_HHMMSS`. */
  id: string
  /** `snapshot` shows one moment; `pitr` leads to any moment of a window. */
  kind: 'snapshot' | 'pitr'
  /** Under which it is known there. */
  reference: string
  /** The moment, or the window. */
  shows_from: string
  shows_to: string
  bytes: number | null
  attested_by: string
  attested_at: string
  /** When whoever made it removes it; null when nobody said. */
  expires_at: string | null
}

/** What is said; of one that is known under its reference it takes the place, and leaves it its id. */
export type NewAttestation = Omit<Attestation, 'attested_at' | 'attested_by'> & {
  /** The role of the database and `host` when absent. */
  attested_by: string | undefined
  host: string
}

const COLUMNS = `id, kind, reference, ${rfc3339('shows_from')} AS shows_from, ${rfc3339('shows_to')} AS shows_to,
  bytes::float8 AS bytes, attested_by, ${rfc3339('attested_at')} AS attested_at, ${rfc3339('expires_at')} AS expires_at`

/** Those that have not expired, the newest moment first; none where the table is still to be migrated. */
export async function listAttestations(query: RunQuery, schema: string): Promise<Attestation[]> {
  if (!(await canAttest(query, schema))) return []
  const { rows } = await query(
    `SELECT ${COLUMNS} FROM ${table(schema)}
     WHERE expires_at IS NULL OR expires_at > clock_timestamp() ORDER BY shows_to DESC, id DESC`,
  )
  return rows as unknown as Attestation[]
}

/** Whether the table is there. */
export async function canAttest(query: RunQuery, schema: string): Promise<boolean> {
  const { rows } = await query('SELECT to_regclass($1) IS NOT NULL AS is_there', [table(schema)])
  return rows[0]?.['is_there'] as boolean
}

/** What is known under a reference, expired or not. */
export async function findAttestation(
  query: RunQuery,
  schema: string,
  reference: string,
): Promise<Attestation | undefined> {
  const { rows } = await query(`SELECT ${COLUMNS} FROM ${table(schema)} WHERE reference = $1`, [reference])
  return rows[0] as unknown as Attestation | undefined
}

/** Stores what somebody says of a backup; one of the same reference takes the place of the one before. */
export async function putAttestation(query: RunQuery, schema: string, given: NewAttestation): Promise<Attestation> {
  const { rows } = await query(
    `INSERT INTO ${table(schema)} (id, kind, reference, shows_from, shows_to, bytes, expires_at, attested_by)
     VALUES ($1, $2, $3, $4, $5, $6, $7, coalesce($8, session_user || '@' || $9))
     ON CONFLICT (reference) DO UPDATE SET shows_from = excluded.shows_from, shows_to = excluded.shows_to,
       bytes = excluded.bytes, expires_at = excluded.expires_at, attested_by = excluded.attested_by,
       attested_at = clock_timestamp()
     RETURNING ${COLUMNS}`,
    [
      ...[given.id, given.kind, given.reference, given.shows_from, given.shows_to, given.bytes, given.expires_at],
      ...[given.attested_by ?? null, given.host],
    ],
  )
  return rows[0] as unknown as Attestation
}

/** Answers whether there was one of this id. */
export async function removeAttestation(query: RunQuery, schema: string, id: string): Promise<boolean> {
  const { rows } = await query(`DELETE FROM ${table(schema)} WHERE id = $1 RETURNING id`, [id])
  return rows.length > 0
}

const table = (schema: string): string => `${quoteIdentifier(schema)}.annals_attestations`
