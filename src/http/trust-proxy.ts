// Which proxies are believed when they say for whom they ask, and how.

import ipaddr from 'ipaddr.js'
import { SettingsError } from '../config.ts'

/** As Fastify takes it. */
export type TrustProxy = string[] | ((address: string, hop: number) => boolean)

const NAMES = new Set(['loopback', 'linklocal', 'uniquelocal'])
const HOPS = /^\d{1,2}$/

/**
 * Reads `TRUST_PROXY`. Addresses say who is believed. A number of hops believes whoever connects, so it is only for a
 * service that nobody but its proxy can reach.
 * @throws SettingsError that names the entry
 */
export function readTrustProxy(text: string | undefined): TrustProxy | undefined {
  if (text === undefined) return undefined
  if (HOPS.test(text)) {
    const hops = Number(text)
    return (_address, hop) => hop < hops
  }
  const entries = text.split(',').map((entry) => entry.trim())
  for (const entry of entries) {
    if (NAMES.has(entry) || ipaddr.isValid(entry) || ipaddr.isValidCIDR(entry)) continue
    throw new SettingsError(
      `TRUST_PROXY: ${JSON.stringify(entry)} must be an address, a CIDR block such as 10.0.0.0/8, or loopback; or the whole a number of hops`,
    )
  }
  return entries
}
