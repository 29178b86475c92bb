// A limit on the requests of one client, told apart by its token, else by its address.

import { isIP } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import ipaddr from 'ipaddr.js'
import { AppError } from '../errors.ts'
import type { Buckets, Rate, Verdict } from '../rate-limit/buckets.ts'

/** Calls back with the problem to answer, if the client asked too often; the headers are set either way. */
export type RateLimit = (request: FastifyRequest, reply: FastifyReply, done: (error?: AppError) => void) => void

/** Takes one token for each request, by the key of its caller, else by its address. */
export function rateLimit(buckets: Buckets): RateLimit {
  return (request, reply, done) => {
    const verdict = buckets.take(request.callerKey ?? `address:${addressKey(request.ip)}`)
    const pass = (known: Verdict): void => done(judge(known, reply))
    if (verdict instanceof Promise) void verdict.then(pass)
    else pass(verdict)
  }
}

/**
 * What stands for an address: itself, and for IPv6 its /64, which is the least that one customer gets. A proxy may
 * forward something that is no address; all of those are one client.
 */
export function addressKey(text: string | undefined): string {
  const version = isIP(text ?? '')
  if (version === 0) return 'unknown'
  if (version === 4) return text as string
  const address = ipaddr.process(text as string)
  if (address.kind() === 'ipv4') return address.toString()
  return `${(address as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
}

function judge({ isAllowed, rate, remaining, waitMs, fullInMs }: Verdict, reply: FastifyReply): AppError | undefined {
  // draft-ietf-httpapi-ratelimit-headers-10, and the three fields of its version 06, which most clients know.
  const resetSeconds = Math.ceil(fullInMs / 1000)
  reply.header('ratelimit-policy', policyOf(rate))
  reply.header('ratelimit', `"${rate.name}";r=${remaining};t=${resetSeconds}`)
  reply.header('ratelimit-limit', rate.burst)
  reply.header('ratelimit-remaining', remaining)
  reply.header('ratelimit-reset', resetSeconds)
  if (isAllowed) return undefined
  return new AppError('rate_limited', `More than ${inWords(rate)} came from this client.`, {
    headers: { 'retry-after': String(Math.max(1, Math.ceil(waitMs / 1000))) },
  })
}

const policyOf = ({ name, perSecond, burst }: Rate): string => `"${name}";q=${burst};w=${Math.ceil(burst / perSecond)}`

const inWords = ({ perSecond, burst }: Rate): string =>
  `${perSecond < 1 ? `${Math.round(perSecond * 60)} requests a minute` : `${perSecond} requests a second`} (and ${burst} at once)`
