// One client that follows, leaves at random and comes back with the last number it has seen.

import { AnnalsError, type StoredEvent } from '../client/client.ts'
import { framesOf } from '../client/sse.ts'
import { fillPath, type Target } from '../client/transport.ts'
import type { FollowOperation, Scope } from './history.ts'
import { linesOf } from './lines.ts'
import type { Random } from './random.ts'
import type { Recorder } from './recorder.ts'
import type { Stored } from './stored.ts'

type Form = FollowOperation['form']

/** How long a connection is kept; the chance decides where it breaks. */
const CONNECTION_MS = { least: 50, most: 3_000 }
const PAUSE_MS = 100
const POLL_SECONDS = 1

export class ProofFollower {
  readonly #recorder: Recorder
  readonly #random: Random
  readonly #name: string
  readonly #form: Form
  readonly #of: Scope
  readonly #after: number
  readonly #events: StoredEvent[] = []
  readonly #startedAt = performance.now()
  #cursor: number
  #connections = 0

  constructor(options: { recorder: Recorder; random: Random; name: string; form: Form; of: Scope; after: number }) {
    this.#recorder = options.recorder
    this.#random = options.random
    this.#name = options.name
    this.#form = options.form
    this.#of = options.of
    this.#after = options.after
    this.#cursor = options.after
  }

  /** Events so far. */
  get received(): number {
    return this.#events.length
  }

  /** Follows until the signal. Whatever breaks is tried again. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#connections++
      const lifetime = AbortSignal.timeout(this.#random.between(CONNECTION_MS.least, CONNECTION_MS.most))
      try {
        await this.#connect(AbortSignal.any([signal, lifetime]))
      } catch (error) {
        // A store that lost its end refuses the cursor, for good: what it had delivered is judged then.
        if (error instanceof AnnalsError && !error.retryable && error.code !== 'unexpected_answer') return
        if (!lifetime.aborted) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
      }
    }
  }

  /** Whether all that the dump holds for it has come. */
  hasCaughtUp(stored: Stored): boolean {
    const last = stored.inRange(this.#of, this.#after, Number.MAX_SAFE_INTEGER).at(-1)
    const isWholeFeed = Object.keys(this.#of).length === 0
    return this.#cursor >= (isWholeFeed ? stored.last : last === undefined ? 0 : this.#numberOf(last))
  }

  /** Writes down what came, as far as the dump goes. */
  record(stored: Stored): void {
    const hasCaughtUp = this.hasCaughtUp(stored)
    const streamId = this.#of.stream_id
    const end = streamId === undefined ? stored.last : (stored.byStream.get(streamId)?.at(-1)?.version ?? 0)
    const upTo = hasCaughtUp ? end : Math.min(this.#cursor, end)
    this.#recorder.followed(this.#name, this.#startedAt, {
      form: this.#form,
      of: this.#of,
      after: this.#after,
      up_to: upTo,
      events: this.#events.filter((event) => this.#numberOf(event) <= upTo).map((event) => this.#recorder.seen(event)),
      connections: this.#connections,
      has_caught_up: hasCaughtUp,
    })
  }

  #numberOf(event: StoredEvent): number {
    return this.#of.stream_id === undefined ? event.position : event.version
  }

  #take(event: StoredEvent): void {
    this.#events.push(event)
    this.#cursor = this.#numberOf(event)
  }

  #connect(signal: AbortSignal): Promise<void> {
    if (this.#form === 'sse') return this.#readFrames(signal)
    return this.#form === 'ndjson' ? this.#readLines(signal) : this.#poll(signal)
  }

  async #readFrames(signal: AbortSignal): Promise<void> {
    const headers = { accept: 'text/event-stream', 'last-event-id': String(this.#cursor) }
    const body = await this.#recorder.http.open(this.#target({}), headers, signal)
    for await (const { event, id, data } of framesOf(body, () => {})) {
      if (event === 'event') this.#take(JSON.parse(data) as StoredEvent)
      else if (event === 'checkpoint') this.#cursor = Math.max(this.#cursor, Number(id))
    }
  }

  async #readLines(signal: AbortSignal): Promise<void> {
    const headers = { accept: 'application/x-ndjson' }
    const body = await this.#recorder.http.open(this.#target({ follow: true, ...this.#start() }), headers, signal)
    for await (const text of linesOf(body)) {
      const line = JSON.parse(text) as StoredEvent & { heartbeat?: true; goodbye?: true }
      if (line.goodbye) return
      if (line.heartbeat) this.#cursor = Math.max(this.#cursor, this.#numberOf(line))
      else this.#take(line)
    }
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const { types, stream_prefix } = this.#of
    const query = { after: this.#cursor, limit: 50, wait: POLL_SECONDS, type: types, stream_prefix }
    while (!signal.aborted) {
      query.after = this.#cursor
      const { events, next } = await this.#recorder.http.call('get', '/events', { query, signal })
      for (const event of events) this.#take(event)
      if (next !== null) this.#cursor = Number(new URL(next, 'http://annals').searchParams.get('after'))
    }
  }

  #start(): Target['query'] {
    return this.#of.stream_id === undefined ? { after: this.#cursor } : { from_version: this.#cursor + 1 }
  }

  #target(query: Target['query']): Target {
    const { stream_id, stream_prefix, types } = this.#of
    if (stream_id === undefined) return { path: '/events', query: { ...query, stream_prefix, type: types } }
    return { path: fillPath('/streams/{stream_id}/events', { stream_id }), query: { ...query, type: types } }
  }
}
