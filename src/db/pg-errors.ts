// What PostgreSQL, its driver and the network say, translated once into codes of the catalogue.

import { AppError, type ErrorCode } from '../errors.ts'

/** A connection could not be opened in time. */
export class ConnectTimeoutError extends Error {
  override name = 'ConnectTimeoutError'
}

/** No answer came in time; the connection was destroyed, so what the statement did is unknown. */
export class QueryTimeoutError extends Error {
  override name = 'QueryTimeoutError'
}

/** Errors of statements that never reached the server, or were surely not executed there. */
const neverExecuted = new WeakSet<object>()

/** Notes that the failure happened before the server did anything. */
export function markNeverExecuted<T extends object>(error: T): T {
  neverExecuted.add(error)
  return error
}

/** Errors of backends that say that they were ended, and had not said anything about the statement before. */
const untouched = new WeakSet<object>()

/** Notes that no backend seems to have taken the statement up. */
export function markUntouched(error: object): void {
  untouched.add(error)
}

/**
 * Whether the statement can be sent once more where that does no harm. PostgreSQL would have confirmed first what it had
 * begun; a proxy in between may have lost that, so of a change it proves nothing: see {@link isSurelyNotApplied}.
 */
export const seemsUntouched = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && untouched.has(error)

interface Meaning {
  code: ErrorCode
  /** The connection is of no more use. */
  isConnectionLost: boolean
  /** The statement was not sent. */
  isUnsent: boolean
}

const lost = (code: ErrorCode): Meaning => ({ code, isConnectionLost: true, isUnsent: false })
const unsent = (code: ErrorCode): Meaning => ({ code, isConnectionLost: true, isUnsent: true })

const NO_TLS = 'The server does not support SSL connections'

/** Errors of `pg` that have a text and no code. The only place where texts are compared; each is provoked in a test. */
export const DRIVER_MESSAGES: Readonly<Record<string, Meaning>> = {
  'Connection terminated': lost('database_unavailable'),
  'Connection terminated unexpectedly': lost('database_unavailable'),
  'Connection terminated due to connection timeout': unsent('database_unavailable'),
  'Client has encountered a connection error and is not queryable': unsent('database_unavailable'),
  'Client was closed and is not queryable': unsent('database_unavailable'),
  [NO_TLS]: unsent('database_misconfigured'),
  'There was an error establishing an SSL connection': unsent('database_unavailable'),
  'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string': unsent('database_unavailable'),
  'timeout expired': unsent('database_unavailable'),
  'timeout exceeded when trying to connect': unsent('pool_exhausted'),
  'Cannot use a pool after calling end on the pool': unsent('shutting_down'),
  'Query read timeout': lost('timeout'),
}

/** Codes of the operating system and of TLS that mean that the database can't be reached. */
const UNSENT_CODES = new Set([
  'ECONNREFUSED',
  'ENOENT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EACCES',
  'EMFILE',
])
const LOST_CODES = new Set(['ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EPROTO', 'ERR_STREAM_DESTROYED'])

/** By SQLSTATE; a code of two characters is its whole class, and an exact one goes first. */
const BY_SQLSTATE: Readonly<Record<string, ErrorCode>> = {
  '0A000': 'database_misconfigured', // a prepared statement has other columns since somebody migrated
  '08': 'database_unavailable',
  '25006': 'database_read_only',
  '25P03': 'database_unavailable', // idle_in_transaction_session_timeout
  '25P04': 'timeout', // transaction_timeout
  '26000': 'database_misconfigured', // a prepared statement is missing: a pooler is in between
  '28': 'database_unavailable',
  '3D000': 'database_unavailable',
  '3F000': 'database_misconfigured',
  '40001': 'busy',
  '40P01': 'busy',
  '42501': 'database_misconfigured',
  '42703': 'database_misconfigured',
  '42704': 'database_misconfigured',
  '42883': 'database_misconfigured',
  '42P01': 'database_misconfigured',
  '42P05': 'database_misconfigured', // a prepared statement exists: a pooler is in between
  '53': 'database_unavailable',
  '53100': 'database_full',
  '55000': 'database_misconfigured',
  '55006': 'busy',
  '55P03': 'busy',
  '57014': 'timeout',
  '57P': 'database_unavailable',
  '58': 'database_unavailable',
  XX: 'database_unavailable',
}

const DETAILS: Partial<Record<ErrorCode, string>> = {
  busy: 'The database was locked by someone else for too long.',
  database_full: 'The database has no space left on its volume.',
  database_misconfigured: 'The database lacks an object or a right that this version needs.',
  database_read_only: 'The connection leads to a database that only reads.',
  database_unavailable: 'The database can not be reached at the moment.',
  internal: 'The database refused a statement of the service.',
  pool_exhausted: 'No database connection came free in time.',
  shutting_down: 'The service is shutting down.',
  timeout: 'The database did not answer in time.',
}

interface ErrorLike {
  code?: unknown
  message?: unknown
  severity?: unknown
}

/** An error of the database or of the way to it, as a problem that says nothing about the inside; the cause is kept. */
export function translatePgError(error: unknown): AppError {
  if (error instanceof AppError) return error
  const code = codeOf(error)
  return new AppError(code, wasTlsRefused(error) ? TLS_DETAIL : (DETAILS[code] ?? ''), { cause: error })
}

const TLS_DETAIL =
  'The TLS of the database is not as the service was told to demand it: see `sslmode` and `sslrootcert` in DATABASE_URL.'

// Codes of OpenSSL's verification and of Node's own.
const TLS_REFUSAL =
  /^(ERR_(TLS|SSL|OSSL)_|CERT_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|INVALID_(CA|PURPOSE))/

/** Whether a connection could not be opened because of its TLS; of an open connection the same codes mean damage. */
export function isTlsRefusal(error: unknown): boolean {
  const { code, message } = toLike(error)
  return message === NO_TLS || (typeof code === 'string' && TLS_REFUSAL.test(code))
}

/** Whether the connection that gave this error is of no more use. */
export function isConnectionFailure(error: unknown): boolean {
  if (error instanceof ConnectTimeoutError || error instanceof QueryTimeoutError) return true
  const { code, severity } = toLike(error)
  if (severity === 'FATAL' || severity === 'PANIC') return true
  if (typeof code === 'string') {
    if (UNSENT_CODES.has(code) || LOST_CODES.has(code)) return true
    if (isSqlState(code)) return code.startsWith('08') || code.startsWith('57P') || code === '0A000'
  }
  return driverMessage(error)?.isConnectionLost ?? false
}

/** Nobody knows why, so it may be the content of the statement that PostgreSQL can't cope with. */
export const isUnexpected = (error: AppError): boolean =>
  error.code === 'internal' || String(toLike(error.cause).code).startsWith('XX')

/**
 * Whether what changes nothing, or was surely rolled back, may be tried again: the connection died, or others were in the
 * way. What has waited in vain once would use up the time of the request.
 */
export function isWorthAnotherTry(error: unknown): boolean {
  if (error instanceof QueryTimeoutError || error instanceof ConnectTimeoutError) return false
  return isConnectionFailure(error) || isSerializationFailure(error)
}

/** Another transaction was in the way, or went first. */
export const isSerializationFailure = (error: unknown): boolean =>
  ['40001', '40P01'].includes(String(toLike(error).code))

/**
 * Whether it is certain that the statement left nothing behind: it never got there, or the server answered it with an
 * error and so rolled it back. False after a lost connection or a time-out with the statement in flight.
 */
export function isSurelyNotApplied(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  if (neverExecuted.has(error)) return true
  if (error instanceof AppError) return error.code === 'pool_exhausted' || error.code === 'shutting_down'
  if (error instanceof ConnectTimeoutError) return true
  const { code, severity } = error as ErrorLike
  if (typeof code === 'string') {
    // A severity in another language counts as unknown: settling costs one lookup, a wrong "no" costs an event.
    if (isSqlState(code)) return severity === 'ERROR' && !code.startsWith('08') && !code.startsWith('57P')
    return UNSENT_CODES.has(code)
  }
  return driverMessage(error)?.isUnsent ?? false
}

function codeOf(error: unknown): ErrorCode {
  if (error instanceof ConnectTimeoutError) return 'database_unavailable'
  if (error instanceof QueryTimeoutError) return 'timeout'
  const { code } = toLike(error)
  if (typeof code === 'string') {
    if (isSqlState(code))
      return BY_SQLSTATE[code] ?? BY_SQLSTATE[code.slice(0, 3)] ?? BY_SQLSTATE[code.slice(0, 2)] ?? 'internal'
    if (UNSENT_CODES.has(code) || LOST_CODES.has(code)) return 'database_unavailable'
  }
  const known = driverMessage(error)?.code
  if (known !== undefined) return known
  if (wasTlsRefused(error)) return 'database_misconfigured'
  // Whatever else kept a connection from being opened.
  return typeof error === 'object' && error !== null && neverExecuted.has(error) ? 'database_unavailable' : 'internal'
}

const wasTlsRefused = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && neverExecuted.has(error) && isTlsRefusal(error)

const driverMessage = (error: unknown): Meaning | undefined => DRIVER_MESSAGES[String(toLike(error).message)]

const isSqlState = (code: string): boolean =>
  /^[0-9A-Z]{5}$/.test(code) && !UNSENT_CODES.has(code) && !LOST_CODES.has(code)

const toLike = (error: unknown): ErrorLike => (typeof error === 'object' && error !== null ? (error as ErrorLike) : {})
