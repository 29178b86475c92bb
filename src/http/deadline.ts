// No request waits for ever, whatever it is that hangs behind it: what has no answer in time is answered here.

import type { ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'
import type { Lifecycle } from './lifecycle.ts'
import { renderProblem } from './problems.ts'
import { reportedId } from './request-report.ts'

const SWEEP_MS = 250
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * From now on answers every request that was read and has no answer after `timeoutMs`, half a second later at most:
 * 503 `timeout`, or `commit_outcome_unknown` for one that may have changed something. Nothing is noted per request, so
 * the quick ones pay nothing. Returns what stops it.
 */
export function keepDeadline(lifecycle: Lifecycle, timeoutMs: number): () => void {
  // When a sweep first saw the request whole.
  const seenAt = new WeakMap<ServerResponse, number>()
  const timer = setInterval(() => {
    const now = performance.now()
    for (const response of lifecycle.responses) {
      if (response.headersSent || !response.req.complete) continue
      const since = lifecycle.isPatient(response) ? now : (seenAt.get(response) ?? now)
      seenAt.set(response, since)
      if (now - since >= timeoutMs) answer(response)
    }
  }, SWEEP_MS).unref()
  return () => clearInterval(timer)
}

// Written past the framework, which finds the response ended when the handler comes to its own answer.
function answer(response: ServerResponse): void {
  const { method = '' } = response.req
  const error = SAFE_METHODS.has(method)
    ? new AppError('timeout', 'The request was not answered in time.')
    : new AppError('commit_outcome_unknown', 'The request was not answered in time; what it changes may be stored.')
  const { headers, body } = renderProblem(error, reportedId(response))
  response.writeHead(error.status, { ...headers, 'content-length': body.length })
  response.end(method === 'HEAD' ? undefined : body)
}
