// What the service lets in: nothing but probes while it starts, everything, nothing new while it drains.

import type { ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'
import { InFlight } from './in-flight.ts'

/**
 * - `starting`: the database is not there yet
 * - `serving`
 * - `leaving`: readiness says draining, requests are still served, so that load balancers can look away
 * - `draining`: new requests are refused, those in flight finish
 */
export type Phase = 'starting' | 'serving' | 'leaving' | 'draining'

/** A response that goes on until one side stops; it is told when the service drains. */
export type StreamEnd = () => void

/** The phase of the service, and what is in flight. */
export class Lifecycle {
  #phase: Phase = 'starting'
  readonly #inFlight = new InFlight()
  readonly #streams = new Set<StreamEnd>()
  readonly #patient = new WeakSet<ServerResponse>()
  readonly #drainListeners: (() => void)[] = []
  #whenEmpty: (() => void) | undefined

  get phase(): Phase {
    return this.#phase
  }

  get isDraining(): boolean {
    return this.#phase === 'leaving' || this.#phase === 'draining'
  }

  /** Number of requests that have no complete answer yet. */
  get inFlight(): number {
    return this.#inFlight.size
  }

  /** Number of open streams among them. */
  get streams(): number {
    return this.#streams.size
  }

  serve(): void {
    if (this.#phase === 'starting') this.#phase = 'serving'
  }

  leave(): void {
    this.#phase = 'leaving'
    this.#closeAfterAnswer()
  }

  /** Refuses what is new from now on and asks open streams to end. */
  drain(): void {
    this.#phase = 'draining'
    this.#closeAfterAnswer()
    for (const end of this.#streams) end()
    for (const listener of this.#drainListeners) listener()
  }

  /** Calls back when nothing new is let in any more. */
  onDrain(listener: () => void): void {
    this.#drainListeners.push(listener)
  }

  /** Why a request that needs the store can't be let in now, if so. */
  refusal(): AppError | undefined {
    if (this.#phase === 'starting') return new AppError('database_unavailable', 'The database is still being started.')
    if (this.#phase === 'draining') return new AppError('shutting_down', 'The service is shutting down.')
    return undefined
  }

  /** Responses that are not complete yet, in no order. */
  get responses(): Iterable<ServerResponse> {
    return this.#inFlight
  }

  /** Whether the response may take as long as it likes: it waits for something, or goes on. */
  isPatient(response: ServerResponse): boolean {
    return this.#patient.has(response)
  }

  enter(response: ServerResponse): void {
    this.#inFlight.add(response)
  }

  /** What this request does takes its time, and has limits of its own. */
  takeTime(response: ServerResponse): void {
    this.#patient.add(response)
  }

  exit(response: ServerResponse): void {
    this.#inFlight.delete(response)
    if (this.#inFlight.size === 0) this.#whenEmpty?.()
  }

  /**
   * Registers an open stream; `end` has to finish its response soon after it is called (at once when the service
   * drains already). Returns what to call when the stream is over.
   */
  openStream(response: ServerResponse, end: StreamEnd): () => void {
    this.#streams.add(end)
    this.#patient.add(response)
    if (this.#phase === 'draining') queueMicrotask(end)
    return () => {
      this.#streams.delete(end)
      this.#patient.delete(response)
    }
  }

  /** Resolves as soon as nothing is in flight. */
  async empty(): Promise<void> {
    if (this.#inFlight.size === 0) return
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve
    })
  }

  // Answers that are still to come say that the connection ends with them.
  #closeAfterAnswer(): void {
    for (const response of this.#inFlight) if (!response.headersSent) response.setHeader('connection', 'close')
  }
}
