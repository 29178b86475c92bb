// The one catalogue of problem answers. `docs/reference/errors.md` is generated from it, and a test compares both ways.

/** `not_applied`: nothing was stored. `applied`: it was. `unknown`: a retry with the same event ids settles it. */
export type Outcome = 'not_applied' | 'applied' | 'unknown'

interface CatalogueEntry {
  status: number
  title: string
  /** What the caller can do about it. */
  hint: string
  retryable?: true
  outcome?: Outcome
}

const catalogue = {
  malformed_request: {
    status: 400,
    title: 'The request can not be read',
    hint: 'Send well-formed HTTP, and a body that is JSON in UTF-8.',
  },
  validation_failed: {
    status: 400,
    title: 'The request is not valid',
    hint: '`errors` names each place by a JSON pointer (or `query/…`, `path/…`, `header/…`) and the rule it breaks.',
  },
  stream_id_invalid: {
    status: 400,
    title: 'The stream id is not valid',
    hint: 'A stream id has 1 to 255 bytes of UTF-8 without control characters or lone surrogates, and is not `.` or `..`; percent-encode it in a path.',
  },
  unauthenticated: {
    status: 401,
    title: 'A valid token is needed',
    hint: 'Send `Authorization: Bearer <token>` with a token of `ANNALS_TOKENS`, or one that was signed with `JWT_SECRET` and has not expired.',
  },
  forbidden: {
    status: 403,
    title: 'The token does not allow this',
    hint: 'Use a token that has the scope named in `scope`.',
  },
  migrations_disabled: {
    status: 403,
    title: 'Migrations over HTTP are switched off',
    hint: 'Set `MIGRATIONS_OVER_HTTP=on`, or run `annals migrate up`.',
  },
  route_not_found: { status: 404, title: 'There is no such route', hint: 'See `/docs` for all routes.' },
  stream_not_found: {
    status: 404,
    title: 'The stream does not exist',
    hint: 'A stream exists from its first event on.',
  },
  event_not_found: {
    status: 404,
    title: 'There is no event with this id',
    hint: 'Check the id; it is case-sensitive.',
  },
  snapshot_not_found: {
    status: 404,
    title: 'The stream has no snapshot',
    hint: 'Read the events, and store one with `PUT /streams/{stream_id}/snapshot`.',
  },
  consumer_not_found: {
    status: 404,
    title: 'There is no consumer of this name',
    hint: 'Make it with `PUT /consumers/{name}`.',
  },
  backup_not_found: {
    status: 404,
    title: 'There is no such backup',
    hint: 'See `GET /backups`.',
  },
  job_not_found: {
    status: 404,
    title: 'There is no such job',
    hint: 'Its id is in the answer that began it.',
  },
  method_not_allowed: {
    status: 405,
    title: 'This route does not know the method',
    hint: 'The header `Allow` lists the methods.',
  },
  not_acceptable: {
    status: 406,
    title: 'None of the accepted media types can be had',
    hint: 'Leave out `Accept`, or name a type that the route offers.',
  },
  request_timeout: {
    status: 408,
    title: 'The request did not arrive in time',
    hint: 'Send the request in one go, over a connection that is fast enough for it.',
    retryable: true,
  },
  version_conflict: {
    status: 409,
    title: 'The stream is not at the expected version',
    hint: 'Read what came after your version (or ask with `?resync=true`), decide again, and append with `current_version`.',
  },
  migrations_locked: {
    status: 409,
    title: 'Another process is migrating',
    hint: 'Wait for the holder named in `holder`, then ask again.',
    retryable: true,
  },
  migration_drift: {
    status: 409,
    title: 'The migrations of the database and of this version differ',
    hint: '`annals migrate verify` names each difference; `annals migrate repair` accepts one.',
  },
  job_running: {
    status: 409,
    title: 'Another backup job is running',
    hint: 'One job at a time works on a store: wait for it, then ask again.',
    retryable: true,
  },
  backup_refused: {
    status: 409,
    title: 'That can not be done with backups here',
    hint: '`detail` says why; nothing was begun.',
  },
  backup_damaged: {
    status: 409,
    title: 'The backup is damaged',
    hint: '`detail` says what is wrong with it; use another one.',
  },
  snapshot_older: {
    status: 409,
    title: 'A newer snapshot is stored',
    hint: 'A snapshot never goes back; keep the stored one, or delete it first.',
  },
  snapshot_ahead: {
    status: 409,
    title: 'The snapshot is ahead of the stream',
    hint: 'Take the snapshot at a version that the stream has reached.',
  },
  cursor_ahead: {
    status: 409,
    title: 'The cursor is ahead of the store',
    hint: 'The store went back, as after a restore: read it anew from a position that you trust.',
  },
  epoch_changed: {
    status: 409,
    title: 'The store has another history than the one you know',
    hint: 'It was restored, or a standby was promoted: check from which position on your events are still there, then go on with `epoch`.',
  },
  consumer_differs: {
    status: 409,
    title: 'The consumer exists with another start or number of partitions',
    hint: 'Leave out `start` and `partitions`, or delete the consumer first; `POST /consumers/{name}/reset` moves its position.',
  },
  consumer_paused: {
    status: 409,
    title: 'The consumer is paused',
    hint: 'Wait, or resume it with `POST /consumers/{name}/resume`.',
    retryable: true,
  },
  consumer_claimed: {
    status: 409,
    title: 'Members work on the consumer',
    hint: 'Acknowledge by the `token` of a lease; by `position` only while nobody has one.',
    retryable: true,
  },
  lease_lost: {
    status: 409,
    title: 'The lease has ended',
    hint: 'Claim again: what was not acknowledged in time comes back, maybe to another member.',
  },
  too_many_consumers: {
    status: 409,
    title: 'There are as many consumers as can be',
    hint: 'Delete one that is not needed.',
  },
  payload_too_large: {
    status: 413,
    title: 'Something in the request is too large',
    hint: 'Send fewer or smaller events; `limit_bytes` is the limit that was passed.',
  },
  uri_too_long: { status: 414, title: 'The URL is too long', hint: 'Shorten the query, or read in smaller steps.' },
  unsupported_media_type: {
    status: 415,
    title: 'The body has a media type that the route does not take',
    hint: 'Send `Content-Type: application/json` in UTF-8 and no `Content-Encoding`.',
  },
  expectation_failed: {
    status: 417,
    title: 'The expectation can not be met',
    hint: 'Only `Expect: 100-continue` is understood.',
  },
  unstorable_value: {
    status: 422,
    title: 'A value can not be stored without changing it',
    hint: '`errors` names each value; send it in another form, for instance as text or as `data_base64`.',
  },
  event_id_reused: {
    status: 422,
    title: 'An event id is already used for something else',
    hint: 'Use a new id for a new event; a retry has to repeat the whole request unchanged.',
  },
  rate_limited: {
    status: 429,
    title: 'Too many requests',
    hint: 'Wait as long as `Retry-After` says; the headers `RateLimit` and `RateLimit-Policy` say what is left.',
    retryable: true,
  },
  headers_too_large: { status: 431, title: 'The headers are too large', hint: 'Send less than 16 KiB of headers.' },
  internal: {
    status: 500,
    title: 'Something is wrong inside the service',
    hint: 'This is a bug; the log has more under `request_id`.',
  },
  overloaded: {
    status: 503,
    title: 'More is waiting than can be served in time',
    hint: 'Retry after `Retry-After` with the same event ids.',
    retryable: true,
  },
  pool_exhausted: {
    status: 503,
    title: 'No database connection came free in time',
    hint: 'Retry after `Retry-After`; see `GET /pool`.',
    retryable: true,
  },
  busy: {
    status: 503,
    title: 'Something in the database is locked',
    hint: 'Retry after `Retry-After`; a long transaction or a migration holds the lock.',
    retryable: true,
  },
  timeout: {
    status: 503,
    title: 'The database did not answer in time',
    hint: 'Retry after `Retry-After` with the same event ids.',
    retryable: true,
  },
  database_unavailable: {
    status: 503,
    title: 'The database can not be reached',
    hint: 'Retry after `Retry-After`; see `GET /health`.',
    retryable: true,
  },
  database_read_only: {
    status: 503,
    title: 'The database only reads',
    hint: 'Retry after `Retry-After`; the connection leads to a standby.',
    retryable: true,
  },
  database_full: {
    status: 503,
    title: 'The database has no space left',
    hint: 'Free space on the database volume, then retry.',
    retryable: true,
  },
  database_misconfigured: {
    status: 503,
    title: 'The database is not set up for this version',
    hint: 'See `GET /migrations` and `GET /health`; a migration or a right is missing, or the certificate of the database is not trusted.',
    retryable: true,
  },
  shutting_down: {
    status: 503,
    title: 'The service is shutting down',
    hint: 'Retry after `Retry-After`; another instance answers.',
    retryable: true,
  },
  not_yet_visible: {
    status: 503,
    title: 'The position has not been reached',
    hint: 'Retry after `Retry-After`, or wait longer with `at_least_wait`.',
    retryable: true,
  },
  commit_outcome_unknown: {
    status: 503,
    title: 'It is not known whether the change was stored',
    hint: 'Send the same request again, with the same event ids: a replay is recognised, nothing is stored twice.',
    retryable: true,
    outcome: 'unknown',
  },
  not_ready: {
    status: 503,
    title: 'The service is not ready',
    hint: '`reasons` says why.',
    retryable: true,
  },
  http_version_not_supported: {
    status: 505,
    title: 'The HTTP version is not supported',
    hint: 'Use HTTP/1.1.',
  },
} satisfies Record<string, CatalogueEntry>

export type ErrorCode = keyof typeof catalogue

/** Code to status, title, hint, retryable and outcome. */
export const ERRORS: Readonly<Record<ErrorCode, CatalogueEntry>> = catalogue

/** One broken rule; `pointer` is a JSON pointer into the body, or `query/<name>`, `path/<name>`, `header/<name>`. */
export interface RuleViolation {
  pointer: string
  rule: string
  /** The allowed values, with the rule `not_a_choice`. */
  choices?: readonly unknown[]
}

export interface AppErrorOptions {
  /** Replaces the catalogue's status, for codes that have two (a version conflict by header is 412). */
  status?: number
  /** Members of the problem beside the standard ones. */
  members?: Record<string, unknown>
  /** The same for members that are JSON text already, such as stored events. */
  jsonMembers?: Record<string, string>
  /** Response headers, lower case. */
  headers?: Record<string, string>
  /** For the log only; never sent. */
  cause?: unknown
}

/** An error with a code of the catalogue; `detail` is sent to the caller and says nothing about the inside. */
export class AppError extends Error {
  override name = 'AppError'
  readonly code: ErrorCode
  readonly status: number
  readonly members: Record<string, unknown>
  readonly jsonMembers: Record<string, string>
  readonly headers: Record<string, string>

  constructor(code: ErrorCode, detail: string, options: AppErrorOptions = {}) {
    // An answer, not an accident: where it was made says nothing, and a stack costs as much as a tenth of a request.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    Error.stackTraceLimit = stackTraceLimit
    this.code = code
    this.status = options.status ?? ERRORS[code].status
    this.members = options.members ?? {}
    this.jsonMembers = options.jsonMembers ?? {}
    this.headers = options.headers ?? {}
  }
}

/** 400 `validation_failed` for one or more broken rules. */
export function validationFailed(errors: RuleViolation[], detail?: string): AppError {
  const first = errors[0]
  return new AppError('validation_failed', detail ?? `${first?.pointer || 'The body'}: ${first?.rule}`, {
    members: { errors },
  })
}

/** The body of an RFC 9457 problem answer. */
export function toProblem(error: AppError, requestId: string): Record<string, unknown> {
  const entry = ERRORS[error.code]
  return {
    type: `urn:annals:problem:${error.code}`,
    title: entry.title,
    status: error.status,
    code: error.code,
    detail: error.message,
    request_id: requestId,
    retryable: entry.retryable ?? false,
    outcome: entry.outcome ?? 'not_applied',
    ...error.members,
  }
}

/** {@link toProblem} as JSON text, with the members that are text already. */
export function problemJson(error: AppError, requestId: string): string {
  const json = JSON.stringify(toProblem(error, requestId))
  const more = Object.entries(error.jsonMembers).map(([name, text]) => `,${JSON.stringify(name)}:${text}`)
  return more.length === 0 ? json : `${json.slice(0, -1)}${more.join('')}}`
}
