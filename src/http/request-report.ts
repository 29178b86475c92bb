// One observation and, when it is wanted, one log line per request, both made by hand: a logger's own request
// logging costs more than the rest of the edge.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Settings } from '../settings.ts'
import { arrivalOf } from './turns.ts'

/** Told about every request that ended. */
export interface RequestObserver {
  /** Something that counts requests of one method, route and status; asked for once, then kept. */
  timer(method: string, route: string, status: number): { observe(seconds: number): void }
}

/** Status that stands for a client that went away before its answer was complete. */
const CLIENT_CLOSED = 499

export interface RequestLog {
  mode: Settings['LOG_REQUESTS']
  slowMs: number
  /** Takes a line that ends with a line break. */
  write(line: string): void
}

type Timer = ReturnType<RequestObserver['timer']>

/** Starts a report for each request; {@link RequestReport.end} finishes it. */
export class RequestReporter {
  readonly #observer: RequestObserver
  readonly #log: RequestLog
  readonly #timers = new Map<string, Map<string, (Timer | undefined)[]>>()

  constructor(observer: RequestObserver, log: RequestLog) {
    this.#observer = observer
    this.#log = log
  }

  /** Ends by itself when the response is over. */
  begin(request: IncomingMessage, response: ServerResponse, requestId: string, route: string): void {
    ;(response as TrackedResponse)[reportOf] = new RequestReport(
      this,
      request,
      requestId,
      route,
      arrivalOf(response) ?? performance.now(),
    )
  }

  /** Called by the report when its response is over. */
  ended(report: RequestReport, response: ServerResponse): void {
    const durationMs = (report.answeredAt ?? performance.now()) - report.startedAt
    const status = response.writableFinished || response.headersSent ? response.statusCode : CLIENT_CLOSED
    const method = report.request.method as string
    this.#timer(method, report.route, status).observe(durationMs / 1000)
    if (this.#isLogged(status, durationMs)) {
      this.#log.write(lineOf(report, method, status, durationMs, response.writableFinished))
    }
  }

  #isLogged(status: number, durationMs: number): boolean {
    switch (this.#log.mode) {
      case 'all':
        return true
      case 'slow':
        return status >= 500 || durationMs >= this.#log.slowMs
      case 'errors':
        return status >= 500
      default:
        return false
    }
  }

  // Methods are those that Node parses and routes are templates, so the tables stay small.
  #timer(method: string, route: string, status: number): Timer {
    let methods = this.#timers.get(route)
    if (methods === undefined) {
      methods = new Map()
      this.#timers.set(route, methods)
    }
    let statuses = methods.get(method)
    if (statuses === undefined) {
      statuses = []
      methods.set(method, statuses)
    }
    const timer = statuses[status]
    if (timer !== undefined) return timer
    const made = this.#observer.timer(method, route, status)
    statuses[status] = made
    return made
  }
}

const reportOf = Symbol('report')
type TrackedResponse = ServerResponse & { [reportOf]?: RequestReport }

/** The id under which the request is reported. */
export const reportedId = (response: ServerResponse): string => (response as TrackedResponse)[reportOf]?.requestId ?? ''

/** To be called where a response becomes a stream without an end: its time is what it took to begin. */
export function streamBegins(response: ServerResponse): void {
  const report = (response as TrackedResponse)[reportOf]
  if (report !== undefined) report.answeredAt = performance.now()
}

/** To be called when a response is over, whole or not. */
export function requestEnds(response: ServerResponse): void {
  ;(response as TrackedResponse)[reportOf]?.end(response)
}

class RequestReport {
  readonly #reporter: RequestReporter
  readonly request: IncomingMessage
  readonly requestId: string
  readonly route: string
  readonly startedAt: number
  /** When a stream began; undefined for every other answer. */
  answeredAt: number | undefined = undefined

  constructor(
    reporter: RequestReporter,
    request: IncomingMessage,
    requestId: string,
    route: string,
    startedAt: number,
  ) {
    this.#reporter = reporter
    this.startedAt = startedAt
    this.request = request
    this.requestId = requestId
    this.route = route
  }

  end(response: ServerResponse): void {
    this.#reporter.ended(this, response)
  }
}

// The shape of the other log lines (pino's), so that one query finds both. The query string stays out: it can hold
// what callers would not want in a log.
function lineOf(
  { request, requestId, route }: RequestReport,
  method: string,
  status: number,
  durationMs: number,
  isComplete: boolean,
): string {
  const level = status >= 500 ? 50 : 30
  const path = JSON.stringify((request.url ?? '').split('?', 1)[0])
  const aborted = isComplete ? '' : ',"aborted":true'
  return `{"level":${level},"time":${Date.now()},"msg":"request","request_id":"${requestId}","method":"${method}","path":${path},"route":"${route}","status":${status},"duration_ms":${durationMs.toFixed(2)}${aborted}}\n`
}
