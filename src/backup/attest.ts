// Backups that were made elsewhere, as somebody says: written down so that they are known, and never taken for one that
// Annals has read. Retention does not touch them, and nothing that they are said to show counts as recoverable.

import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import {
  type Attestation,
  canAttest,
  findAttestation,
  putAttestation,
  removeAttestation,
} from '../db/backup/attestation-records.ts'
import type { RunQuery } from '../db/run-query.ts'
import { asBackupError, BackupError } from './backup-error.ts'
import type { Desk } from './desk.ts'
import { checkTime } from './recovery/recovery-target.ts'
import { openCatalogue } from './run-job.ts'

/** Times are RFC 3339 with an offset. */
export interface AttestOrder {
  kind: Attestation['kind']
  reference: string
  /** Of a snapshot. */
  at?: string | undefined
  /** Of the window of a recovery to a moment. */
  from?: string | undefined
  to?: string | undefined
  bytes?: number | undefined
  expires?: string | undefined
  by?: string | undefined
}

/** Clocks differ; what is further ahead is a mistake. */
const AHEAD_MS = 5 * 60_000
const MAX_REFERENCE = 500
const MAX_BY = 100

/** Writes it down, or anew what is known under its reference. @throws BackupError `refused` */
export async function attest(desk: Desk, order: AttestOrder): Promise<Attestation> {
  const reference = checkText('a reference', order.reference, MAX_REFERENCE)
  const by = order.by === undefined ? undefined : checkText('who says so', order.by, MAX_BY)
  const { from, to } = windowOf(order)
  if (order.expires !== undefined && Date.parse(checkTime(order.expires)) <= Date.now()) {
    throw new BackupError('refused', `what expired at ${order.expires} is there no more`)
  }
  return withAttestations(desk, async (query, schema) => {
    const known = await findAttestation(query, schema, reference)
    if (known !== undefined) refuseOther(known, order.kind, from)
    return putAttestation(query, schema, {
      ...{ id: idOf(reference), kind: order.kind, reference, shows_from: from, shows_to: to },
      ...{ bytes: order.bytes ?? null, expires_at: order.expires ?? null, attested_by: by, host: hostname() },
    })
  })
}

/** It is not there any more, or never was. @throws BackupError `not_found` */
export const withdraw = (desk: Desk, id: string): Promise<void> =>
  withAttestations(desk, async (query, schema) => {
    if (await removeAttestation(query, schema, id)) return
    throw new BackupError('not_found', `nothing is attested as ${JSON.stringify(id)}; see \`annals backup list\``)
  })

/** Of one reference always the same. */
const idOf = (reference: string): string =>
  `attested_${createHash('sha256').update(reference).digest('hex').slice(0, 12)}`

function windowOf({ kind, at, from, to }: AttestOrder): { from: string; to: string } {
  if (kind === 'snapshot' && (at === undefined || from !== undefined || to !== undefined)) {
    throw new BackupError('refused', 'a snapshot shows one moment: give --at, and neither --from nor --to')
  }
  if (kind === 'pitr' && (from === undefined || to === undefined || at !== undefined)) {
    throw new BackupError('refused', 'recovery to a moment has a window: give --from and --to, and not --at')
  }
  const window = { from: checkTime(from ?? (at as string)), to: checkTime(to ?? (at as string)) }
  if (Date.parse(window.to) > Date.now() + AHEAD_MS) {
    throw new BackupError('refused', `${window.to} is in the future, which no backup can show`)
  }
  if (Date.parse(window.from) > Date.parse(window.to)) {
    throw new BackupError('refused', `the window from ${window.from} to ${window.to} ends before it begins`)
  }
  return window
}

/** A window moves; a snapshot goes on showing what it showed. */
function refuseOther(known: Attestation, kind: Attestation['kind'], from: string): void {
  const is = `${known.reference} is attested already, as ${known.id}`
  if (known.kind !== kind) throw new BackupError('refused', `${is}, of kind ${known.kind}: withdraw that first`)
  if (kind === 'pitr' || Date.parse(known.shows_from) === Date.parse(from)) return
  throw new BackupError('refused', `${is}, with the moment ${known.shows_from}: withdraw that first`)
}

function checkText(what: string, text: string, longest: number): string {
  const trimmed = text.trim()
  if (trimmed !== '' && trimmed.length <= longest && !/\p{C}/u.test(trimmed)) return trimmed
  throw new BackupError('refused', `${what} is 1 to ${longest} characters that can be printed`)
}

async function withAttestations<T>({ store }: Desk, work: (query: RunQuery, schema: string) => Promise<T>): Promise<T> {
  if (store === undefined)
    throw new BackupError('refused', 'attestations are written down in the store: set DATABASE_URL')
  const client = await openCatalogue(store)
  try {
    const query: RunQuery = (text, values) => client.query(text, values)
    if (await canAttest(query, store.schema)) return await work(query, store.schema)
    throw new BackupError('refused', `the schema ${store.schema} is older than this: run \`annals migrate up\` first`)
  } catch (error) {
    throw asBackupError(error)
  } finally {
    await client.end().catch(() => {})
  }
}
