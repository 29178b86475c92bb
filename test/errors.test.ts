import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { AppError, ERRORS, type ErrorCode, toProblem, validationFailed } from '../src/errors.ts'

const root = join(import.meta.dirname, '..')

t.test('the reference has a row for every code of the catalogue with its status, and no other row', async (t) => {
  const reference = readFileSync(join(root, 'docs/reference/errors.md'), 'utf8')
  const rows = [...reference.matchAll(/^\| `([a-z_]+)` \| (\d{3})/gm)].map(([, code, status]) => [code, Number(status)])
  t.strictSame(
    rows,
    Object.entries(ERRORS).map(([code, { status }]) => [code, status]),
  )
})

t.test('the catalogue holds the codes of the contract with their status', async (t) => {
  // Other programs are written against these; a change here is a breaking change.
  const contract: Record<number, ErrorCode[]> = {
    400: ['validation_failed', 'stream_id_invalid', 'malformed_request'],
    401: ['unauthenticated'],
    403: ['forbidden', 'migrations_disabled'],
    404: ['route_not_found', 'stream_not_found', 'event_not_found', 'snapshot_not_found'],
    405: ['method_not_allowed'],
    406: ['not_acceptable'],
    409: ['version_conflict', 'migrations_locked', 'migration_drift', 'snapshot_older', 'snapshot_ahead'],
    413: ['payload_too_large'],
    414: ['uri_too_long'],
    415: ['unsupported_media_type'],
    417: ['expectation_failed'],
    422: ['unstorable_value', 'event_id_reused'],
    429: ['rate_limited'],
    431: ['headers_too_large'],
    500: ['internal'],
    503: [
      ...(['overloaded', 'pool_exhausted', 'busy', 'timeout', 'database_unavailable', 'database_read_only'] as const),
      ...(['database_full', 'database_misconfigured', 'shutting_down', 'commit_outcome_unknown', 'not_ready'] as const),
    ],
    505: ['http_version_not_supported'],
  }
  for (const [status, codes] of Object.entries(contract)) {
    for (const code of codes) t.equal(ERRORS[code]?.status, Number(status), code)
  }
})

t.test('every 503 can be tried again, and only an unknown outcome is not "not applied"', async (t) => {
  for (const [code, entry] of Object.entries(ERRORS)) {
    if (entry.status === 503) t.equal(entry.retryable, true, code)
    t.equal(entry.outcome, code === 'commit_outcome_unknown' ? 'unknown' : undefined, code)
    t.match(entry.hint, /[.)]$/, `${code} says what to do`)
  }
})

t.test('a problem has the members of RFC 9457 and ours, and the ones of the error', async (t) => {
  const error = new AppError('version_conflict', 'The stream is at 4.', {
    status: 412,
    members: { current_version: 4 },
  })
  t.strictSame(toProblem(error, 'r-1'), {
    type: 'urn:annals:problem:version_conflict',
    title: 'The stream is not at the expected version',
    status: 412,
    code: 'version_conflict',
    detail: 'The stream is at 4.',
    request_id: 'r-1',
    retryable: false,
    outcome: 'not_applied',
    current_version: 4,
  })
  t.match(toProblem(new AppError('commit_outcome_unknown', 'x'), 'r-2'), {
    retryable: true,
    outcome: 'unknown',
    status: 503,
  })
})

t.test('the cause of an error is kept for the log and never shown', async (t) => {
  const cause = new Error('password authentication failed for user "annals"')
  const error = new AppError('database_unavailable', 'The database can not be reached.', { cause })
  t.equal(error.cause, cause)
  t.notMatch(JSON.stringify(toProblem(error, 'r-1')), /password/)
})

t.test('a failed validation lists each broken rule and tells the first one in words', async (t) => {
  const error = validationFailed([
    { pointer: '/events/0/type', rule: 'must not be empty' },
    { pointer: 'query/limit', rule: 'must be at most 1000' },
  ])
  t.match(error, { code: 'validation_failed', status: 400, message: '/events/0/type: must not be empty' })
  t.equal((toProblem(error, 'r-1')['errors'] as unknown[]).length, 2)
  t.equal(validationFailed([{ pointer: '', rule: 'must be an object' }]).message, 'The body: must be an object')
})
