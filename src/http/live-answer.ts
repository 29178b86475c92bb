// Answers that go on: Server-Sent Events and lines of JSON, written to the socket with a bound on what waits there.

import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import { AppError, toProblem } from '../errors.ts'
import type { LiveSink } from '../follow/follow-hub.ts'
import type { FollowEnd } from '../follow/follower.ts'
import type { TailEvent } from '../follow/tail-event.ts'
import { NDJSON_TYPE } from './ndjson.ts'
import { streamBegins } from './request-report.ts'

export const SSE_TYPE = 'text/event-stream'

/** What an answer that goes on says of itself. */
export const liveHeaders = (type: string): Record<string, string> => ({
  'content-type': type,
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
})

/** What is counted: positions of the feed, or versions of a stream. */
export type Counted = 'position' | 'version'

// A reader that does not take the goodbye is cut off after this. One that was too slow needs longer to get to it.
const GOODBYE_MS = 2_000
const SLOW_GOODBYE_MS = 30_000

abstract class LiveAnswer implements LiveSink {
  protected readonly response: ServerResponse
  protected readonly counted: Counted
  readonly #requestId: string
  #cut: NodeJS.Timeout | undefined

  constructor(reply: FastifyReply, type: string, counted: Counted) {
    this.response = reply.raw
    this.counted = counted
    this.#requestId = reply.request.id
    reply.hijack()
    const headers = { ...reply.getHeaders(), ...liveHeaders(type) } as Record<string, string>
    this.response.writeHead(200, headers)
    this.response.flushHeaders()
    streamBegins(this.response)
  }

  abstract event(event: TailEvent, at: number): void
  abstract checkpoint(at: number): void
  abstract heartbeat(at: number): void
  protected abstract goodbye(reason: string, at: number, problem?: Record<string, unknown>): void

  get pendingBytes(): number {
    return this.response.writableLength
  }

  drained(): Promise<void> {
    if (!this.response.writableNeedDrain || this.response.destroyed) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        this.response.off('drain', done)
        this.response.off('close', done)
        resolve()
      }
      this.response.on('drain', done)
      this.response.on('close', done)
    })
  }

  end(reason: FollowEnd, at: number, error?: unknown): void {
    if (this.response.destroyed) return
    if (reason !== 'left') {
      const problem = error instanceof AppError ? toProblem(error, this.#requestId) : undefined
      this.goodbye(reason, at, problem)
    }
    this.response.end()
    this.response.once('close', () => clearTimeout(this.#cut))
    this.#cutAfter(reason === 'overflow' ? SLOW_GOODBYE_MS : GOODBYE_MS)
  }

  /** What was ended already must not hold up the end of the service. */
  hurry(): void {
    if (this.#cut !== undefined && !this.response.destroyed) this.#cutAfter(GOODBYE_MS)
  }

  #cutAfter(ms: number): void {
    clearTimeout(this.#cut)
    this.#cut = setTimeout(() => this.response.destroy(), ms)
  }

  protected write(bytes: string | Buffer): void {
    this.response.write(bytes)
  }

  protected frame(event: TailEvent, form: string, make: () => string): Buffer {
    return event.frame(`${form} ${this.counted}`, make)
  }
}

/** Server-Sent Events. JSON has no line break outside of escapes, so nothing in an event can end its frame. */
export class EventStream extends LiveAnswer {
  constructor(reply: FastifyReply, counted: Counted) {
    super(reply, SSE_TYPE, counted)
  }

  event(event: TailEvent, at: number): void {
    this.write(this.frame(event, SSE_TYPE, () => `id: ${at}\nevent: event\ndata: ${event.json}\n\n`))
  }

  checkpoint(at: number): void {
    this.write(`id: ${at}\nevent: checkpoint\ndata: {"${this.counted}":${at}}\n\n`)
  }

  heartbeat(): void {
    this.write(': heartbeat\n\n')
  }

  protected goodbye(reason: string, at: number, problem?: Record<string, unknown>): void {
    this.write(
      `event: goodbye\ndata: ${JSON.stringify({ reason, [this.counted]: at, ...(problem && { problem }) })}\n\n`,
    )
  }
}

/** Lines of JSON for ever. */
export class LineStream extends LiveAnswer {
  constructor(reply: FastifyReply, counted: Counted) {
    super(reply, NDJSON_TYPE, counted)
  }

  event(event: TailEvent): void {
    this.write(this.frame(event, NDJSON_TYPE, () => `${event.json}\n`))
  }

  checkpoint(at: number): void {
    this.heartbeat(at)
  }

  heartbeat(at: number): void {
    this.write(`{"heartbeat":true,"${this.counted}":${at}}\n`)
  }

  protected goodbye(reason: string, at: number, problem?: Record<string, unknown>): void {
    this.write(`${JSON.stringify({ goodbye: true, reason, [this.counted]: at, ...(problem && { problem }) })}\n`)
  }
}
