import type { Problem } from './contract.ts'

/** A code of the service, or `unreachable` (no complete answer) or `unexpected_answer` (not one of Annals). */
export type ErrorCode = Problem['code'] | 'unreachable' | 'unexpected_answer'

export interface AnnalsErrorOptions {
  /** HTTP status; 0 without an answer. */
  status: number
  retryable: boolean
  outcome: Problem['outcome']
  problem?: Problem
  requestId?: string
  retryAfterMs?: number
  cause?: unknown
}

/** Every failure of a call; only an abort rejects with the reason of its signal instead. */
export class AnnalsError extends Error {
  override name = 'AnnalsError'
  readonly code: ErrorCode
  /** HTTP status; 0 when there was no answer. */
  readonly status: number
  /** Whether the same call can succeed later. */
  readonly retryable: boolean
  /** What became of a write. `unknown` is settled by the same events with the same ids. */
  readonly outcome: Problem['outcome']
  readonly request_id: string | undefined
  /** The whole answer, with its further members such as `current_version` or `errors`. */
  readonly problem: Problem | undefined
  /** As the service asked for with `Retry-After`. */
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, options: AnnalsErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.status = options.status
    this.retryable = options.retryable
    this.outcome = options.outcome
    this.request_id = options.problem?.request_id ?? options.requestId
    this.problem = options.problem
    this.retryAfterMs = options.retryAfterMs
  }
}

/** The error that a problem stands for. */
export function fromProblem(problem: Problem, retryAfterMs?: number): AnnalsError {
  return new AnnalsError(problem.code, problem.detail, {
    status: problem.status,
    retryable: problem.retryable,
    outcome: problem.outcome,
    problem,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}

// These are answered after the ids were looked up, so they say what became of earlier attempts too.
const SETTLES: ErrorCode[] = ['version_conflict', 'event_id_reused']

/** The last error of several attempts: one of them may have been stored although the last one surely was not. */
export function afterUnknown(error: AnnalsError): AnnalsError {
  if (error.outcome !== 'not_applied' || SETTLES.includes(error.code)) return error
  const { code, message, status, retryable, problem, retryAfterMs, request_id: requestId, cause } = error
  return new AnnalsError(code, `${message} An earlier attempt may have been stored.`, {
    status,
    retryable,
    outcome: 'unknown',
    cause,
    ...(problem && { problem }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}
