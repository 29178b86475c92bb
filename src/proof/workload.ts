// A run: writers, readers and followers at once against a service, and the dump at the end.

import { setTimeout as sleep } from 'node:timers/promises'
import { AnnalsError } from '../client/client.ts'
import { head } from '../client/read.ts'
import { takeDump } from './dump.ts'
import { ProofFollower } from './follower.ts'
import type { Dump, FollowOperation, History, Scope } from './history.ts'
import { Random } from './random.ts'
import { Recorder, type RecorderOptions } from './recorder.ts'
import { Stored } from './stored.ts'
import { Writer } from './writer.ts'

export interface WorkloadOptions extends Omit<RecorderOptions, 'prefix'> {
  /** Number of writers; a reader for every four. */
  clients: number
  seed: number
  /** Ends the writing; a proof is made of what there is. */
  signal: AbortSignal
  /** Appends a second, of all writers together; without bound when absent. */
  rate?: number
  /** How long the store may take at the end until it can be read and the followers have arrived; 30 s when absent. */
  settleMs?: number
  /** Told twice a second. */
  onProgress?(progress: WorkloadProgress): void
}

export interface WorkloadProgress {
  phase: 'writing' | 'settling'
  /** Attempts to append and pages, so far. */
  operations: number
  /** Events that followers got. */
  followed: number
}

const SHARED_STREAMS = 6
const PROGRESS_MS = 500
const LOOK_AGAIN_MS = 100
const PAGE_PAUSE_MS = 20

/**
 * Runs until the signal and resolves with what has to be judged. Every connection may fail at any time.
 * @throws AnnalsError when the store can't be read before the start or at the end; ProofRefusedError
 */
export async function runWorkload(options: WorkloadOptions): Promise<History> {
  const { url, seed, clients, signal, settleMs = 30_000, onProgress } = options
  const prefix = `annals-proof-${seed}-${Date.now().toString(36)}/`
  const recorder = new Recorder({ ...options, prefix })
  const startedAt = new Date().toISOString()
  const after = await head(recorder.http)
  // The ids are made of what ids may be made of.
  const shared = Array.from(
    { length: SHARED_STREAMS },
    (_, i) => `${prefix}${i === 0 ? 'straße 日本/100%?' : `shared-${i}`}`,
  )
  const followers = followersOf(recorder, seed, prefix, shared, after)
  const stopFollowing = new AbortController()
  const following = followers.map((follower) => follower.follow(stopFollowing.signal))
  let phase: WorkloadProgress['phase'] = 'writing'
  const progress = setInterval(() => {
    const followed = followers.reduce((sum, { received }) => sum + received, 0)
    onProgress?.({ phase, operations: recorder.operations.length, followed })
  }, PROGRESS_MS)
  const failed = new AbortController()
  const running = AbortSignal.any([signal, failed.signal])
  try {
    await Promise.all([
      ...Array.from({ length: clients }, (_, i) => write(options, recorder, prefix, shared, i, running)),
      ...Array.from({ length: Math.ceil(clients / 4) }, (_, i) =>
        read(recorder, seed, prefix, shared, after, i, running),
      ),
    ]).catch((error: unknown) => {
      failed.abort()
      throw error
    })
    phase = 'settling'
    const deadlineAt = performance.now() + settleMs
    const dump = await dumpBefore(deadlineAt, recorder, after, prefix)
    const stored = new Stored(dump)
    while (performance.now() < deadlineAt && !followers.every((follower) => follower.hasCaughtUp(stored))) {
      await sleep(LOOK_AGAIN_MS)
    }
    for (const follower of followers) follower.record(stored)
    return { run: { prefix, seed, url, started_at: startedAt }, operations: recorder.operations, dump }
  } finally {
    clearInterval(progress)
    stopFollowing.abort()
    await Promise.all(following)
  }
}

async function write(
  { seed, clients, rate }: WorkloadOptions,
  recorder: Recorder,
  prefix: string,
  shared: readonly string[],
  index: number,
  signal: AbortSignal,
): Promise<void> {
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {})
  const random = new Random(seed * 1_000 + index)
  const writer = new Writer({ recorder, random, name: `w${index}`, prefix, shared, pause })
  const intervalMs = rate === undefined ? 0 : (1_000 * clients) / rate
  for (let nextAt = performance.now(); !signal.aborted; nextAt = Math.max(nextAt + intervalMs, performance.now())) {
    const leftMs = nextAt - performance.now()
    if (leftMs > 0) await pause(leftMs)
    if (!signal.aborted) await writer.step()
  }
}

/** Reads here and there, and some of it once more. */
async function read(
  recorder: Recorder,
  seed: number,
  prefix: string,
  shared: readonly string[],
  after: number,
  index: number,
  signal: AbortSignal,
): Promise<void> {
  const random = new Random(seed * 1_000 + 500 + index)
  while (!signal.aborted) {
    const of = random.pick<Scope>([
      {},
      { stream_prefix: prefix },
      { stream_prefix: prefix, types: ['Changed'] },
      { stream_id: random.pick(shared) },
    ])
    const direction = random.pick(['forward', 'backward'] as const)
    const isStream = of.stream_id !== undefined
    const limit = random.between(1, 200)
    const isFromEnd = direction === 'backward' && random.chance(0.7)
    let start = isFromEnd ? undefined : isStream ? random.between(1, 50) : after + random.between(1, 2_000)
    const again = random.chance(0.3) ? 2 : 1
    for (let i = 0; i < 3 && !signal.aborted; i++) {
      let next: number | undefined
      for (let n = 0; n < again; n++) next = await recorder.read(`r${index}`, { of, direction, start, limit })
      if (next === undefined) break
      start = next
    }
    await sleep(PAGE_PAUSE_MS)
  }
}

function followersOf(
  recorder: Recorder,
  seed: number,
  prefix: string,
  shared: readonly string[],
  after: number,
): ProofFollower[] {
  const own = { stream_prefix: prefix }
  const stream = { stream_id: shared[0] as string }
  const kinds: [FollowOperation['form'], Scope][] = [
    ['sse', own],
    ['sse', {}],
    ['sse', stream],
    ['sse', { ...own, types: ['Opened'] }],
    ['ndjson', own],
    ['ndjson', stream],
    ['poll', own],
  ]
  return kinds.map(([form, of], i) => {
    const random = new Random(seed * 1_000 + 900 + i)
    const from = of.stream_id === undefined ? after : 0
    return new ProofFollower({ recorder, random, name: `f${i}-${form}`, form, of, after: from })
  })
}

/** The dump, tried again while the store can't be read. @throws AnnalsError */
async function dumpBefore(deadlineAt: number, recorder: Recorder, after: number, prefix: string): Promise<Dump> {
  for (;;) {
    try {
      const leftMs = Math.max(1, deadlineAt - performance.now())
      return await takeDump(recorder.http, after, prefix, AbortSignal.timeout(Math.ceil(leftMs)))
    } catch (error) {
      if (performance.now() >= deadlineAt || (error instanceof AnnalsError && !error.retryable)) throw error
      await sleep(LOOK_AGAIN_MS)
    }
  }
}
