// How commands speak to a running service.

import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline, Readable } from 'node:stream'
import { InvalidArgumentError, Option } from 'commander'
import { readRetryAfter } from '../client/retry.ts'

/** Where the service is, and how to be let in. */
export interface ServiceOptions {
  url: string
  token?: string
}

/** `--url` and `--token`, with their variables. */
export const serviceOptions = (): Option[] => [
  new Option('--url <url>', 'address of the service')
    .env('ANNALS_URL')
    .default('http://127.0.0.1:8080')
    .argParser(serviceUrl),
  new Option('--token <token>', 'token with the scope that the command needs').env('ANNALS_TOKEN'),
]

function serviceUrl(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return text
  throw new InvalidArgumentError('It must be http:// or https:// and a host, for instance http://127.0.0.1:8080.')
}

/** A body of `length` bytes that is not there at once. */
export interface SlowBody {
  length: number
  parts: AsyncIterable<Buffer>
}

/** What an answer that is not a success says to programs. */
export interface Refusal {
  status: number
  /** Whether the same request can succeed later. */
  isRetryable: boolean
  /** As `Retry-After` asks for. */
  retryAfterMs: number
}

/** An answer that is not a success, or something else that went wrong, in one line. */
export class ServiceError extends Error {
  override name = 'ServiceError'
  /** Absent when there was no answer. */
  readonly refusal: Refusal | undefined

  constructor(message: string, refusal?: Refusal) {
    super(message)
    this.refusal = refusal
  }
}

/**
 * One request. Node's own client rather than fetch: an export streams gigabytes, and fetch copies each chunk twice.
 * @throws ServiceError when the service can't be reached or answers with a problem
 */
export async function requestService(
  service: ServiceOptions,
  method: string,
  path: string,
  { headers, body }: { headers?: Record<string, string>; body?: Buffer | SlowBody } = {},
): Promise<IncomingMessage> {
  const url = new URL(path, service.url.endsWith('/') ? service.url : `${service.url}/`)
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const all = {
      ...headers,
      ...(service.token === undefined ? {} : { authorization: `Bearer ${service.token}` }),
      ...(body === undefined ? {} : { 'content-length': String(body.length) }),
    }
    const request = send(url, { method, headers: all }, resolve)
    request.on('error', (error: NodeJS.ErrnoException) => {
      reject(unreachable(service.url, error))
    })
    if (body === undefined || Buffer.isBuffer(body)) request.end(body)
    // What goes wrong is told by the request, which then is destroyed.
    else pipeline(Readable.from(body.parts), request, () => {})
  })
  if ((response.statusCode ?? 500) < 300) return response
  throw await refused(response)
}

// What OpenSSL says of a certificate whose issuer it does not know.
const UNKNOWN_ISSUER = /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(GET|VERIFY)_\w+)$/

/** There was no answer from `url`; what is behind the error says why. */
export function unreachable(url: string, error: Error): ServiceError {
  let root = error
  while (root.cause instanceof Error) root = root.cause
  const { code, message } = root as NodeJS.ErrnoException
  if (code !== undefined && UNKNOWN_ISSUER.test(code)) {
    const hint = 'set NODE_EXTRA_CA_CERTS to the file of the certificate that has signed it'
    return new ServiceError(`the certificate of ${url} is not trusted (${code}): ${hint}`)
  }
  // Of the client, which knows no code of the system: it waited in vain.
  const reason = code === undefined || code === 'unreachable' ? message : code
  return new ServiceError(`${url} can't be reached (${reason}); is the service running?`)
}

/** The body of an answer as text. */
export async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** Of a proxy, whose answer does not say it. */
const PASSING = [408, 429, 502, 503, 504]

async function refused(response: IncomingMessage): Promise<ServiceError> {
  const status = response.statusCode ?? 500
  const retryAfterMs = readRetryAfter(response.headers['retry-after'] ?? null) ?? 0
  const refusal = { status, isRetryable: PASSING.includes(status), retryAfterMs }
  const body = await readBody(response)
  try {
    const { code, detail, retryable } = JSON.parse(body) as { code: string; detail: string; retryable?: boolean }
    const said = `the service answered ${status} ${code}: ${detail}`
    return new ServiceError(said, { ...refusal, isRetryable: retryable ?? refusal.isRetryable })
  } catch {
    return new ServiceError(`the service answered ${status}, and not as Annals does; check --url`, refusal)
  }
}
