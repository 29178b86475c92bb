// Snapshots as they leave over HTTP, and why one is refused.

import type { PreparedSnapshot, SaveOutcome, StoredSnapshot } from '../db/snapshots/snapshot-store.ts'
import { AppError } from '../errors.ts'
import { streamNotFound } from './stream-id.ts'

/** A snapshot without its state. */
export interface SnapshotInfo {
  stream_id: string
  version: number
  content_type: string
  /** RFC 3339 UTC, microseconds. */
  created_at: string
}

/** A snapshot without its state, as the answer of `PUT`. */
export const snapshotInfo = ({ streamId, version, contentType, isJson, createdAt }: StoredSnapshot): SnapshotInfo => ({
  stream_id: streamId,
  version,
  content_type: contentType ?? (isJson ? 'application/json' : 'application/octet-stream'),
  created_at: createdAt,
})

/** A snapshot as JSON text; a state that came as JSON is passed through as it was stored. */
export function snapshotJson(snapshot: StoredSnapshot): string {
  const { stream_id, version, ...rest } = snapshotInfo(snapshot)
  const state = snapshot.isJson
    ? `"state":${snapshot.data.toString('utf8')}`
    : `"state_base64":"${snapshot.data.toString('base64')}"`
  return `{"stream_id":${JSON.stringify(stream_id)},"version":${version},${state},${JSON.stringify(rest).slice(1)}`
}

/** 404 `snapshot_not_found`. */
export const snapshotNotFound = (): AppError => new AppError('snapshot_not_found', 'The stream has no snapshot.')

/** The error of a snapshot that was not saved: 404 `stream_not_found`, 409 `snapshot_older` or `snapshot_ahead`. */
export function snapshotRefused(
  outcome: Exclude<SaveOutcome, { kind: 'saved' }>,
  { streamId, version }: PreparedSnapshot,
): AppError {
  const asked = { stream_id: streamId, version }
  switch (outcome.kind) {
    case 'stream_not_found':
      return streamNotFound()
    case 'older':
      return new AppError('snapshot_older', `A snapshot of version ${outcome.storedVersion} is stored.`, {
        members: { ...asked, snapshot_version: outcome.storedVersion },
      })
    case 'ahead':
      return new AppError('snapshot_ahead', `The stream is at version ${outcome.streamVersion}, not at ${version}.`, {
        members: { ...asked, current_version: outcome.streamVersion },
      })
  }
}
