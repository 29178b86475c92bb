// Clients that write down what they did: every request once, with its answer or the lack of one.

import { AnnalsError, type Appended, type NewEvent, type Problem, type StoredEvent } from '../client/client.ts'
import { Transport, type TransportOptions } from '../client/transport.ts'
import { digestOf } from './digest.ts'
import type {
  AppendAnswer,
  AppendOperation,
  FollowOperation,
  Operation,
  ReadOperation,
  Scope,
  SeenEvent,
  SentAppend,
  SentCheck,
  ToldConflict,
} from './history.ts'

export interface RecorderOptions extends Pick<TransportOptions, 'url' | 'token' | 'fetch' | 'timeoutMs'> {
  /** Streams whose ids start with this belong to the run. */
  prefix: string
}

/** What is asked of one page; `start` as the contract has it: `after`, `before` or `from_version`. */
export interface PageRequest {
  of: Scope
  direction: 'forward' | 'backward'
  start: number | undefined
  limit: number
}

const FEED = '/events'
const STREAM = '/streams/{stream_id}/events'

/** One for all clients of a run, since their operations share a clock and an order. */
export class Recorder {
  readonly operations: Operation[] = []
  readonly http: Transport
  readonly #prefix: string

  constructor({ prefix, timeoutMs = 10_000, ...options }: RecorderOptions) {
    // Once each: a retry is an operation of its own.
    this.http = new Transport({ ...options, timeoutMs, retry: { attempts: 1 } })
    this.#prefix = prefix
  }

  /** Appends, as one whole: one append goes to its stream's route, several or with checks to that for several. */
  async append(client: string, appends: SentAppend[], checks: SentCheck[] = []): Promise<AppendOperation> {
    const [only] = appends
    const started = this.#start(client)
    const answer =
      only !== undefined && appends.length === 1 && checks.length === 0
        ? await answerTo(async () => [await this.#toStream(only)])
        : await answerTo(async () => {
            const body = { appends: appends.map(toRequest), checks, atomic: true }
            const answer = await this.http.call('post', FEED, { body })
            return answer.results as Appended[]
          })
    return this.#record({ kind: 'append', ...started(), appends, checks, answer })
  }

  /** Several appends in one request, each by itself. */
  async appendEach(client: string, appends: SentAppend[]): Promise<AppendOperation[]> {
    const started = this.#start(client)
    let answers: AppendAnswer[]
    try {
      const body = { appends: appends.map(toRequest), atomic: false }
      const { results } = (await this.http.call('post', FEED, { body })) as { results: EachResult[] }
      answers = appends.map((_, i) => answerOfEach(results[i] as EachResult))
    } catch (error) {
      answers = appends.map(() => refusalOf(error))
    }
    const times = started()
    return appends.map((append, i) =>
      this.#record({ kind: 'append', ...times, appends: [append], checks: [], answer: answers[i] as AppendAnswer }),
    )
  }

  /** Reads one page. Nothing is recorded of a read that fails: it has said nothing. @returns the cursor of the next */
  async read(client: string, request: PageRequest): Promise<number | undefined> {
    const started = this.#start(client)
    try {
      const page = request.of.stream_id === undefined ? await this.#readFeed(request) : await this.#readStream(request)
      this.#record({ kind: 'read', ...started(), of: request.of, direction: request.direction, ...page.seen })
      return page.next
    } catch (error) {
      if (error instanceof AnnalsError) return undefined
      throw error
    }
  }

  /** Writes down what a follower got. */
  followed(
    client: string,
    fromMs: number,
    follower: Omit<FollowOperation, 'kind' | 'n' | 'client' | 'from_ms' | 'to_ms'>,
  ) {
    const times = { n: this.operations.length, client, from_ms: fromMs, to_ms: performance.now() }
    return this.#record<FollowOperation>({ kind: 'follow', ...times, ...follower })
  }

  /** An event as it is written down. */
  seen(event: StoredEvent): SeenEvent {
    const { position, stream_id, version, id } = event
    if (!stream_id.startsWith(this.#prefix)) return { position }
    return { position, stream_id, version, id, digest: digestOf(event) }
  }

  #toStream({ stream_id, expected_version, events }: SentAppend): Promise<Appended> {
    const body = { expected_version, events: events.map(toNewEvent) }
    return this.http.call('post', STREAM, { path: { stream_id }, body })
  }

  async #readFeed({ of, direction, start, limit }: PageRequest): Promise<Page> {
    const isForward = direction === 'forward'
    const { events, head, next } = await this.http.call('get', FEED, {
      query: {
        ...(isForward ? { after: start } : { direction, before: start }),
        limit,
        type: of.types,
        stream_prefix: of.stream_prefix,
      },
    })
    const cursor = cursorIn(next, isForward ? 'after' : 'before')
    const after = isForward ? (start ?? 0) : (cursor ?? 1) - 1
    const upTo = isForward ? (cursor ?? 0) : start === undefined ? head : Math.min(start - 1, head)
    return { seen: { after, up_to: upTo, events: this.#inOrder(events, isForward), head }, next: cursor }
  }

  async #readStream({ of, direction, start, limit }: PageRequest): Promise<Page> {
    const isForward = direction === 'forward'
    const query = { from_version: start, direction, limit, type: of.types }
    const path = { stream_id: of.stream_id as string }
    const { events, version, next } = await this.http.call('get', STREAM, { path, query })
    const cursor = cursorIn(next, 'from_version')
    const after = isForward ? (start ?? 1) - 1 : (cursor ?? 0)
    const end = isForward ? Math.max(version, after) : Math.min(start ?? version, version)
    const upTo = isForward && cursor !== undefined ? cursor - 1 : end
    return { seen: { after, up_to: upTo, events: this.#inOrder(events, isForward), head: version }, next: cursor }
  }

  #inOrder(events: StoredEvent[], isForward: boolean): SeenEvent[] {
    return (isForward ? events : events.toReversed()).map((event) => this.seen(event))
  }

  #start(client: string) {
    const from_ms = performance.now()
    return () => ({ n: this.operations.length, client, from_ms, to_ms: performance.now() })
  }

  // Numbered as it is answered; several of one request one after another.
  #record<T extends Operation>(operation: T): T {
    operation.n = this.operations.length
    this.operations.push(operation)
    return operation
  }
}

interface Page {
  seen: Pick<ReadOperation, 'after' | 'up_to' | 'events' | 'head'>
  next: number | undefined
}

const cursorIn = (next: string | null, name: string): number | undefined =>
  next === null ? undefined : Number(new URL(next, 'http://annals').searchParams.get(name))

const toNewEvent = (event: SentAppend['events'][number]): NewEvent => ({ ...event })

const toRequest = ({ stream_id, expected_version, events }: SentAppend) => ({
  stream_id,
  expected_version,
  events: events.map(toNewEvent),
})

type EachResult = { status: number; body: Appended | Problem }

function answerOfEach({ status, body }: EachResult): AppendAnswer {
  if (status === 201) return { outcome: 'ok', results: [body as Appended] }
  return fromProblem(body as Problem)
}

async function answerTo(send: () => Promise<Appended[]>): Promise<AppendAnswer> {
  try {
    return { outcome: 'ok', results: await send() }
  } catch (error) {
    return refusalOf(error)
  }
}

function refusalOf(error: unknown): AppendAnswer {
  if (!(error instanceof AnnalsError)) throw error
  if (error.problem !== undefined) return fromProblem(error.problem)
  return error.outcome === 'not_applied'
    ? { outcome: 'refused', code: error.code }
    : { outcome: 'unknown', code: error.code }
}

interface ProblemMembers extends ToldConflict {
  failed: ToldConflict[]
  event_ids: string[]
}

function fromProblem(problem: Problem): AppendAnswer {
  const { code, outcome } = problem
  if (outcome !== 'not_applied') return { outcome: 'unknown', code }
  const { failed, event_ids, stream_id, expected_version, current_version } = problem as unknown as ProblemMembers
  if (code === 'event_id_reused') return { outcome: 'refused', code, event_ids }
  if (code !== 'version_conflict') return { outcome: 'refused', code }
  const told = failed ?? [{ stream_id, expected_version, current_version }]
  // Only these members; the problem has more.
  const conflicts = told.map(({ stream_id, expected_version, current_version }) => ({
    stream_id,
    expected_version,
    current_version,
  }))
  return { outcome: 'refused', code, conflicts }
}
