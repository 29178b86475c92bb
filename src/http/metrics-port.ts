// `GET /metrics` alone on a port of its own, open: a plain server, because one route needs no framework.

import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { Type } from '@sinclair/typebox'
import { AppError } from '../errors.ts'
import type { Settings } from '../settings.ts'
import { checkHeaders } from './headers.ts'
import { urlOf } from './listen.ts'
import { answerMalformed } from './malformed.ts'
import { methodNotAllowed } from './methods.ts'
import { negotiate } from './negotiate.ts'
import { renderProblem } from './problems.ts'
import { compileQuery } from './query.ts'
import { requestIdOf } from './request-id.ts'
import type { KeyPair } from './tls-files.ts'

/** All metrics as text of one of the two formats, with its content type. */
export type Scrape = (format: 'prometheus' | 'openmetrics') => Promise<{ contentType: string; body: string }>

export interface MetricsPort {
  url: string
  /** The one that listens. */
  server: unknown
  close(): Promise<void>
}

/** The format that a scraper asks for by `Accept`. @throws AppError `not_acceptable` */
export const formatFor = (accept: string | undefined): 'prometheus' | 'openmetrics' =>
  negotiate(accept, ['text/plain', 'application/openmetrics-text']) === 'text/plain' ? 'prometheus' : 'openmetrics'

const SERVER_OPTIONS = { requireHostHeader: false }

/**
 * Listens on `METRICS_PORT` when it is set, with `tls` where `METRICS_TLS` asks for it.
 * @throws the system's error when the port can't be had
 */
export async function listenForMetrics(
  settings: Pick<Settings, 'HOST' | 'METRICS_HOST' | 'METRICS_PORT' | 'METRICS_TLS'>,
  scrape: Scrape,
  tls: KeyPair | undefined,
): Promise<MetricsPort | undefined> {
  if (settings.METRICS_PORT === undefined) return undefined
  const isSecure = settings.METRICS_TLS === 'on' && tls !== undefined
  const listener: RequestListener = (request, response) => {
    answer(request, response, scrape).catch((error: unknown) => {
      if (response.headersSent) response.destroy()
      else end(request, response, error instanceof AppError ? error : new AppError('internal', 'The scrape failed.'))
    })
  }
  const server = isSecure
    ? createTlsServer({ ...SERVER_OPTIONS, ...tls }, listener)
    : createServer(SERVER_OPTIONS, listener)
  answerMalformed(server, 0, () => {})
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: settings.METRICS_HOST ?? settings.HOST, port: settings.METRICS_PORT }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return {
    url: `${urlOf(server.address() as AddressInfo, isSecure ? 'https' : 'http')}/metrics`,
    server,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, scrape: Scrape): Promise<void> {
  const error = checkHeaders(request) ?? refusal(request)
  if (error !== undefined) return end(request, response, error)
  if (request.method === 'OPTIONS') {
    response.writeHead(204, { allow: ALLOW, 'x-request-id': requestIdOf(request.headers) }).end()
    return
  }
  const { contentType, body } = await scrape(formatFor(request.headers.accept))
  const bytes = Buffer.from(body)
  response
    .writeHead(200, {
      'content-type': contentType,
      'content-length': bytes.length,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-request-id': requestIdOf(request.headers),
      vary: 'Accept',
    })
    .end(bytes)
}

const ALLOW = 'GET, HEAD, OPTIONS'

const noParameters = compileQuery(Type.Object({}))

/** Why the request is not served. @throws AppError `validation_failed` for a parameter */
function refusal({ url = '', method = '' }: IncomingMessage): AppError | undefined {
  const [path, query = ''] = url.split('?', 2)
  if (path !== '/metrics') return new AppError('route_not_found', 'This port serves /metrics alone.')
  if (!['GET', 'HEAD', 'OPTIONS'].includes(method)) return methodNotAllowed(method, ALLOW)
  noParameters(query)
  return undefined
}

function end(request: IncomingMessage, response: ServerResponse, error: AppError): void {
  const { headers, body } = renderProblem(error, requestIdOf(request.headers))
  response.writeHead(error.status, { ...headers, 'content-length': body.length }).end(body)
}
