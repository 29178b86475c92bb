// Opens the port, and ends what came through it.

import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Lifecycle } from './lifecycle.ts'

// Connections that wait to be accepted. Of thousands that come at once Node's 511 would leave most to the retries of TCP,
// seconds apart; the system may allow fewer.
const BACKLOG = 4_096

/** Listens and answers the URL to reach it under. @throws the system's error, with the address in its words */
export async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  await app.ready()
  await new Promise<void>((resolve, reject) => {
    app.server.once('error', reject)
    app.server.listen({ host, port, backlog: BACKLOG }, () => {
      app.server.off('error', reject)
      resolve()
    })
  })
  const scheme = 'setSecureContext' in app.server ? 'https' : 'http'
  return urlOf(app.server.address() as AddressInfo, scheme)
}

/** A URL that a person on this machine can open. */
export function urlOf({ address, port }: AddressInfo, scheme = 'http'): string {
  const isEverywhere = address === '0.0.0.0' || address === '::'
  const host = isEverywhere ? 'localhost' : address.includes(':') ? `[${address}]` : address
  return `${scheme}://${host}:${port}`
}

export interface DrainTimes {
  /** Requests are served for this long after readiness said no, so that load balancers can look away first. */
  delayMs: number
  /** When this is over, counted from the start, what is still open is cut. */
  timeoutMs: number
}

// Long enough for a probe to see that readiness is gone, short enough for nobody to wait for it.
const LINGER_MS = 250

/**
 * Ends the service's HTTP side: readiness first, then refusal of new requests, then whatever is in flight. Probes are
 * answered throughout. Resolves when no connection is left, at the latest after `timeoutMs`.
 */
export async function drain(app: FastifyInstance, lifecycle: Lifecycle, times: DrainTimes): Promise<void> {
  const { server } = app
  const deadlineAt = performance.now() + times.timeoutMs
  const remaining = () => Math.max(0, deadlineAt - performance.now())
  lifecycle.leave()
  await sleep(Math.min(times.delayMs, remaining()))
  lifecycle.drain()
  await Promise.race([Promise.all([lifecycle.empty(), sleep(Math.min(LINGER_MS, remaining()))]), sleep(remaining())])
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  // A last answer may still be on its way out.
  await Promise.race([closed, sleep(Math.min(LINGER_MS, remaining()))])
  server.closeAllConnections()
  await closed
  await app.close()
}
