// Snapshots in memory, beside the events of a log; nothing is kept when the process ends.

import type { EventLog } from '../event-log.ts'
import type {
  CoveragePage,
  CoverageQuery,
  PreparedSnapshot,
  SaveOutcome,
  SnapshotStore,
  SnapshotSummary,
  StatePage,
  StateQuery,
  StoredSnapshot,
  StreamCoverage,
} from '../snapshots/snapshot-store.ts'

export class InMemorySnapshots implements SnapshotStore {
  readonly #log: EventLog
  readonly #snapshots = new Map<string, StoredSnapshot>()

  constructor(log: EventLog) {
    this.#log = log
  }

  async save(snapshot: PreparedSnapshot): Promise<SaveOutcome> {
    const info = await this.#log.readStreamInfo(snapshot.streamId)
    if (info === null) return { kind: 'stream_not_found' }
    if (snapshot.version > info.version) return { kind: 'ahead', streamVersion: info.version }
    // Nothing is awaited from here on, so no other save comes between.
    const stored = this.#snapshots.get(snapshot.streamId)
    if (stored !== undefined && stored.version > snapshot.version) {
      return { kind: 'older', storedVersion: stored.version }
    }
    // A copy: the caller's buffer may be reused.
    const data = Buffer.from(snapshot.data)
    const saved = { ...snapshot, data, createdAt: new Date().toISOString().replace('Z', '000Z') }
    this.#snapshots.set(snapshot.streamId, saved)
    return { kind: 'saved', isNew: stored === undefined, snapshot: saved }
  }

  async read(streamId: string): Promise<{ version: number; snapshot: StoredSnapshot | null }> {
    const snapshot = this.#snapshots.get(streamId) ?? null
    return { version: (await this.#log.readStreamInfo(streamId))?.version ?? 0, snapshot }
  }

  readSummary(streamId: string): Promise<SnapshotSummary | null> {
    return Promise.resolve(this.#summary(streamId))
  }

  async readState({ streamId, limit, maxBytes }: StateQuery): Promise<StatePage> {
    const snapshot = this.#snapshots.get(streamId) ?? null
    const fromVersion = (snapshot?.version ?? 0) + 1
    const page = await this.#log.readStream({ streamId, fromVersion, direction: 'forward', limit, maxBytes })
    return { ...page, snapshot }
  }

  async delete(streamId: string): Promise<boolean> {
    if ((await this.#log.readStreamInfo(streamId)) === null) return false
    this.#snapshots.delete(streamId)
    return true
  }

  async listBehind({ moreThan, after, limit, maxChecked }: CoverageQuery): Promise<CoveragePage> {
    const infos = await this.#log.listStreams({ ...(after === undefined ? {} : { after }), limit: maxChecked })
    const streams: StreamCoverage[] = []
    let checked = 0
    for (const { stream_id, version } of infos) {
      checked++
      const snapshot = this.#summary(stream_id)
      const behind = version - (snapshot?.version ?? 0)
      if (behind > moreThan) streams.push({ stream_id, version, snapshot, events_since_snapshot: behind })
      if (streams.length === limit) break
    }
    const mayHaveMore = streams.length === limit || checked === maxChecked
    return { streams, checked, next: mayHaveMore ? (infos[checked - 1]?.stream_id ?? null) : null }
  }

  #summary(streamId: string): SnapshotSummary | null {
    const snapshot = this.#snapshots.get(streamId)
    return snapshot === undefined ? null : { version: snapshot.version, created_at: snapshot.createdAt }
  }
}
