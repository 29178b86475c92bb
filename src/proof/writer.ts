// One client that appends: whatever the contract offers, in an order that its seed decides.

import type { ExpectedVersion } from '../client/client.ts'
import { newEventId } from '../client/event-id.ts'
import type { AppendOperation, SentAppend, SentEvent } from './history.ts'
import type { Random } from './random.ts'
import type { Recorder } from './recorder.ts'

/** How often each happens. */
const ACTIONS = {
  any: 30,
  exact: 25,
  exists: 5,
  first: 8,
  batch: 10,
  atomic: 10,
  each: 5,
  replay: 5,
  reuse: 2,
}

/** Of what was not acknowledged so much is tried again; the rest stays as it is, unknown. */
const RETRIED = 0.8
const MOST_RETRIES = 4
const PAUSE_MS = { least: 20, most: 400, limited: 1_000 }
/** How many of its acknowledged appends a client remembers, to replay them. */
const REMEMBERED = 200
/** Answers after which a retry could not do better. */
const FINAL = ['version_conflict', 'event_id_reused']
/** Answers that say that nothing will ever be stored this way. */
const HOPELESS = [
  'unauthenticated',
  'forbidden',
  'route_not_found',
  'validation_failed',
  'stream_id_invalid',
  'unstorable_value',
  'unexpected_answer',
]

// What a frame, a line or a terminal could trip over.
const TEXTS = ['plain', 'data: x\n\nevent: event\n\n', '\u2028\r\n', 'Grüße 日本 🙂', '"}\n{"', ' '.repeat(40)]

/** The service refuses for good what the run needs. */
class ProofRefusedError extends Error {
  override name = 'ProofRefusedError'
}

export class Writer {
  readonly #recorder: Recorder
  readonly #random: Random
  readonly #name: string
  readonly #prefix: string
  /** Streams that all clients share. */
  readonly #shared: readonly string[]
  readonly #pause: (ms: number) => Promise<void>
  /** What this client believes of the version of streams. */
  readonly #versions = new Map<string, number>()
  readonly #remembered: AppendOperation[] = []
  #made = 0

  constructor(options: {
    recorder: Recorder
    random: Random
    name: string
    prefix: string
    shared: readonly string[]
    /** Sleeps; rejects when the run ends. */
    pause(ms: number): Promise<void>
  }) {
    this.#recorder = options.recorder
    this.#random = options.random
    this.#name = options.name
    this.#prefix = options.prefix
    this.#shared = options.shared
    this.#pause = options.pause
  }

  /** One decision and what comes of it, retries included. @throws ProofRefusedError */
  async step(): Promise<void> {
    const random = this.#random
    const action = random.weighted(ACTIONS)
    if (action === 'each') return this.#each()
    if (action === 'replay' || action === 'reuse') {
      const earlier = this.#remembered.length === 0 ? undefined : random.pick(this.#remembered)
      if (earlier === undefined) return
      const appends = action === 'replay' ? earlier.appends : [this.#withOtherContent(earlier)]
      await this.#untilDone(await this.#recorder.append(this.#name, appends, action === 'replay' ? earlier.checks : []))
      return
    }
    if (action === 'atomic') {
      const [first, second, third] = this.#streams(3) as [string, string, string]
      const appends = [
        this.#append(first, 'exact', random.between(1, 3)),
        this.#append(second, 'any', random.between(1, 3)),
      ]
      const checks = random.chance(0.7) ? [{ stream_id: third, expected_version: this.#expected(third, 'exact') }] : []
      await this.#untilDone(await this.#recorder.append(this.#name, appends, checks))
      return
    }
    const isFirst = action === 'first'
    const stream = isFirst ? `${this.#prefix}${this.#name}/${++this.#made}` : (this.#streams(1)[0] as string)
    const expected = isFirst ? 'exact' : action === 'batch' ? random.pick(['any', 'exact'] as const) : action
    const size = action === 'batch' ? random.between(2, 20) : 1
    await this.#untilDone(await this.#recorder.append(this.#name, [this.#append(stream, expected, size)]))
  }

  /** Several in one request, each by itself; what is not acknowledged is tried again by itself. */
  async #each(): Promise<void> {
    const appends = this.#streams(this.#random.between(2, 4)).map((stream) =>
      this.#append(stream, this.#random.pick(['any', 'exact'] as const), this.#random.between(1, 3)),
    )
    for (const attempt of await this.#recorder.appendEach(this.#name, appends)) await this.#untilDone(attempt)
  }

  /** Tries again, with the same ids, what may or may not have been stored. */
  async #untilDone(first: AppendOperation): Promise<void> {
    let attempt = first
    for (let retries = 0; ; retries++) {
      this.#learn(attempt)
      const { answer, appends, checks } = attempt
      if (answer.outcome === 'ok' || FINAL.includes(answer.code)) return
      if (HOPELESS.includes(answer.code)) {
        throw new ProofRefusedError(`an append was answered ${answer.code}; the proof can't go on`)
      }
      const isLimited = answer.code === 'rate_limited'
      await this.#pause(isLimited ? PAUSE_MS.limited : this.#random.between(PAUSE_MS.least, PAUSE_MS.most))
      if (retries >= MOST_RETRIES || !this.#random.chance(RETRIED)) return
      attempt = await this.#recorder.append(this.#name, appends, checks)
    }
  }

  #learn(attempt: AppendOperation): void {
    const { answer } = attempt
    if (answer.outcome === 'ok') {
      for (const { stream_id: streamId, version, replayed } of answer.results) {
        if (!replayed) this.#versions.set(streamId, version)
      }
      if (this.#remembered.length < REMEMBERED) this.#remembered.push(attempt)
      else this.#remembered[this.#random.between(0, REMEMBERED - 1)] = attempt
    } else if (answer.outcome === 'refused') {
      for (const { stream_id: streamId, current_version: version } of answer.conflicts ?? []) {
        this.#versions.set(streamId, version)
      }
    }
  }

  /** So many different ones of the shared streams. */
  #streams(count: number): string[] {
    const left = [...this.#shared]
    return Array.from({ length: count }, () => left.splice(this.#random.between(0, left.length - 1), 1)[0] as string)
  }

  #append(stream: string, expected: 'any' | 'exact' | 'exists', size: number): SentAppend {
    const events = Array.from({ length: size }, () => this.#event())
    return { stream_id: stream, expected_version: this.#expected(stream, expected), events }
  }

  #expected(stream: string, kind: 'any' | 'exact' | 'exists'): ExpectedVersion {
    return kind === 'exact' ? (this.#versions.get(stream) ?? 0) : kind
  }

  #event(): SentEvent {
    const random = this.#random
    return {
      id: newEventId(),
      type: random.pick(['Opened', 'Changed', 'Closed']),
      data: {
        n: random.between(0, 1_000_000),
        text: random.pick(TEXTS),
        deep: [{ yes: random.chance(0.5) }, null, -0.5],
      },
      metadata: random.chance(0.3) ? { correlation_id: `c-${random.between(0, 9)}`, causes: [1, 'two'] } : null,
    }
  }

  #withOtherContent({ appends }: AppendOperation): SentAppend {
    const { stream_id, events } = appends[0] as SentAppend
    return { stream_id, expected_version: 'any', events: events.map((event) => ({ ...event, data: 'other' })) }
  }
}
