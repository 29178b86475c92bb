// One request at a time over fetch: typed by the OpenAPI document, retried, and every failure an AnnalsError.

import type { paths } from './api-types.ts'
import type { AnswerOf, BodyOf, Method, PathOf, PathParameters, Problem, QueryOf } from './contract.ts'
import { AnnalsError, afterUnknown, fromProblem } from './errors.ts'
import { DEFAULT_RETRY, pauseMs, type RetryOptions, readRetryAfter, sleep } from './retry.ts'

export interface TransportOptions {
  /** Address of the service; a path in it is kept. */
  url: string
  /** Bearer token, or a function that is asked before each request. */
  token?: string | (() => string | Promise<string>) | undefined
  /** Instead of the global one. */
  fetch?: typeof globalThis.fetch | undefined
  retry?: Partial<RetryOptions> | undefined
  /** Longest wait for the answer to one attempt, in milliseconds; 30,000 when absent. */
  timeoutMs?: number | undefined
}

export interface CallOptions {
  /** Ends the call, pauses between attempts included. */
  signal?: AbortSignal | undefined
}

/** What is known of the epoch of the store: learnt from the first answer, sent with every request after it. */
export interface EpochMemory {
  current: string | undefined
}

type QueryValue = string | number | boolean | readonly string[] | undefined

type Given<T> = { [Name in keyof T]: T[Name] | undefined }

type Call<P extends keyof paths, M extends Method> = CallOptions & {
  query?: Given<QueryOf<P, M>>
  /** Added to `timeoutMs`: what the service itself is asked to wait. */
  waitMs?: number
  epoch?: EpochMemory
} & (PathParameters<P, M> extends undefined ? unknown : { path: PathParameters<P, M> }) &
  (BodyOf<P, M> extends undefined ? unknown : { body: BodyOf<P, M> })

/** A path and what is asked of it. */
export interface Target {
  path: string
  query: Record<string, QueryValue>
}

const EPOCH_HEADER = 'annals-epoch'

interface Attempt {
  method: string
  target: string
  headers: Record<string, string>
  body?: string
}

interface Bounds {
  epoch: EpochMemory | undefined
  timeoutMs: number
  signal: AbortSignal | undefined
}

export class Transport {
  readonly retry: RetryOptions
  readonly timeoutMs: number
  readonly #base: string
  readonly #fetch: typeof globalThis.fetch
  readonly #token: TransportOptions['token']

  constructor({ url, token, fetch, retry, timeoutMs = 30_000 }: TransportOptions) {
    this.retry = { ...DEFAULT_RETRY, ...retry }
    this.timeoutMs = timeoutMs
    this.#base = new URL(url).href.replace(/\/$/, '')
    this.#fetch = fetch ?? globalThis.fetch.bind(globalThis)
    this.#token = token
  }

  /**
   * Sends a request until it is answered, at most `retry.attempts` times. Everything that goes this way may be sent
   * twice: events carry their ids, all else replaces.
   * @throws AnnalsError
   */
  async call<M extends Method, P extends PathOf<M>>(method: M, path: P, call: Call<P, M>): Promise<AnswerOf<P, M>> {
    const { query, path: parameters, body, signal, waitMs = 0, epoch } = call as CallOptions & Record<string, never>
    const attempt: Attempt = {
      method: method.toUpperCase(),
      target: fillPath(path, parameters ?? {}) + queryText(query ?? {}),
      headers: { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      // Once, so that a retry repeats it letter for letter whatever the caller does with the objects meanwhile.
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }
    const bounds = { timeoutMs: this.timeoutMs + waitMs, signal, epoch }
    let wasUnknown = false
    for (let failures = 1; ; failures++) {
      try {
        return (await this.#attempt(attempt, bounds)) as AnswerOf<P, M>
      } catch (error) {
        if (!(error instanceof AnnalsError)) throw error
        wasUnknown ||= error.outcome === 'unknown'
        if (!error.retryable || failures >= this.retry.attempts) throw wasUnknown ? afterUnknown(error) : error
        await sleep(pauseMs(failures, this.retry, error.retryAfterMs), signal)
      }
    }
  }

  /** Opens an answer that goes on; one attempt, which the caller bounds and ends by the signal. @throws AnnalsError */
  async open(
    target: Target,
    headers: Record<string, string>,
    signal: AbortSignal,
    epoch?: EpochMemory,
  ): Promise<ReadableStream<Uint8Array>> {
    const attempt = { method: 'GET', target: target.path + queryText(target.query), headers }
    try {
      const response = await this.#send(attempt, signal, epoch)
      const isWanted = response.headers.get('content-type')?.startsWith(headers['accept'] as string)
      if (response.ok && isWanted && response.body !== null) return response.body
      throw await refusal(attempt, response)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      throw error instanceof AnnalsError ? error : unreachable(attempt, `no answer (${reasonOf(error)})`, error)
    }
  }

  /** One attempt, which ends after its time, the reading of the answer included. */
  async #attempt(attempt: Attempt, { timeoutMs, signal, epoch }: Bounds): Promise<unknown> {
    signal?.throwIfAborted()
    const controller = new AbortController()
    const onAbort = () => controller.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    const timer = setTimeout(
      () => controller.abort(unreachable(attempt, `no answer within ${timeoutMs} ms`)),
      timeoutMs,
    )
    try {
      return await readJson(attempt, await this.#send(attempt, controller.signal, epoch))
    } catch (error) {
      if (controller.signal.aborted) throw controller.signal.reason
      throw error instanceof AnnalsError ? error : unreachable(attempt, `no answer (${reasonOf(error)})`, error)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async #send(
    { method, target, headers, body }: Attempt,
    signal: AbortSignal,
    epoch: EpochMemory | undefined,
  ): Promise<Response> {
    const token = typeof this.#token === 'function' ? await this.#token() : this.#token
    const response = await this.#fetch(this.#base + target, {
      method,
      headers: {
        ...headers,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(epoch?.current === undefined ? {} : { [EPOCH_HEADER]: epoch.current }),
      },
      ...(body === undefined ? {} : { body }),
      signal,
    })
    if (epoch !== undefined && response.ok) epoch.current ??= response.headers.get(EPOCH_HEADER) ?? undefined
    return response
  }
}

/** The path with its parameters. `.` and `..` would be taken for steps in the path, so they never leave here. */
export function fillPath(template: string, parameters: Record<string, string>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(parameters[name])
    if (value !== '' && value !== '.' && value !== '..' && value.isWellFormed()) return encodeURIComponent(value)
    throw new AnnalsError(
      name === 'stream_id' ? 'stream_id_invalid' : 'validation_failed',
      `${JSON.stringify(value)} can't be a ${name}.`,
      { status: 400, retryable: false, outcome: 'not_applied' },
    )
  })
}

function queryText(query: Record<string, QueryValue>): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue
    for (const each of Array.isArray(value) ? value : [value]) search.append(name, String(each))
  }
  const text = search.toString()
  return text === '' ? '' : `?${text}`
}

async function readJson(attempt: Attempt, response: Response): Promise<unknown> {
  if (!response.ok) throw await refusal(attempt, response)
  if (response.status === 204) return undefined
  if (!isJson(response)) throw await refusal(attempt, response)
  const text = await response.text()
  try {
    return JSON.parse(text)
  } catch (error) {
    throw unreachable(attempt, 'the answer was cut off', error)
  }
}

const isJson = (response: Response) =>
  /^application\/(problem\+)?json\b/.test(response.headers.get('content-type') ?? '')

/** The error for an answer that is none: a problem, or something that a proxy said. */
async function refusal(attempt: Attempt, response: Response): Promise<AnnalsError> {
  const text = await response.text()
  const retryAfterMs = readRetryAfter(response.headers.get('retry-after'))
  const problem = isJson(response) ? problemIn(text) : undefined
  if (problem !== undefined) return fromProblem(problem, retryAfterMs)
  const { status } = response
  const isPassing = status >= 500 || status === 408 || status === 429
  const message = `${attempt.method} ${attempt.target} was answered ${status}, and not by Annals; check the URL.`
  return new AnnalsError('unexpected_answer', message, {
    status,
    retryable: isPassing,
    outcome: attempt.method !== 'GET' && (response.ok || status >= 500) ? 'unknown' : 'not_applied',
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}

function problemIn(text: string): Problem | undefined {
  try {
    const value = JSON.parse(text) as Problem
    return typeof value.code === 'string' && typeof value.outcome === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

// Node names the cause, browsers don't. With these the request surely did not arrive.
const NEVER_SENT = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN']

const causeOf = (error: unknown) => (error as { cause?: { code?: string; message?: string } } | undefined)?.cause

export function reasonOf(error: unknown): string {
  return causeOf(error)?.code ?? causeOf(error)?.message ?? (error as Error).message
}

/** There was no complete answer. */
export function unreachable(attempt: Pick<Attempt, 'method' | 'target'>, reason: string, cause?: unknown): AnnalsError {
  const isSent = !NEVER_SENT.includes(causeOf(cause)?.code ?? '')
  return new AnnalsError('unreachable', `${attempt.method} ${attempt.target}: ${reason}.`, {
    status: 0,
    retryable: true,
    outcome: attempt.method !== 'GET' && isSent ? 'unknown' : 'not_applied',
    ...(cause === undefined ? {} : { cause }),
  })
}
