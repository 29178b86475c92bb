// How many connections a pool needs, by three formulas that are widely found, and whether the server has room:
// one of Composable Rust's production guide, Little's law, and that of the PostgreSQL wiki and HikariCP (cores and spindles).

import type { Profile } from '../../settings.ts'

export interface SizingInputs {
  requestsPerSecond: number
  /** How long one request holds a connection; null when nothing is known yet. */
  holdMs: number | null
  /** How long one request takes in all. */
  requestMs: number | null
  buffer: number
  /** Of the database server. */
  cores: number
  spindles: number
  /** Instances of the service with a pool each. */
  replicas: number
  /** The maximum each pool has now. */
  poolMax: number
}

export interface ServerLimits {
  max_connections: number
  /** Kept by the server for superusers and for roles with pg_use_reserved_connections. */
  reserved: number
  /** Open connections of clients, ours included. */
  used: number
}

export interface Formula {
  name: 'seed' | 'littles_law' | 'cores_and_spindles'
  formula: string
  /** Null when a value is missing. */
  connections: number | null
  note: string
}

export interface Band {
  name: 'development' | 'staging' | 'low_traffic' | 'medium_traffic' | 'high_traffic'
  applies_to: string
  min: number
  max: number
}

export interface Sizing {
  formulas: Formula[]
  band: Band
  /** Maximum for one pool. */
  recommended: number
  /** Null while the server can't be asked. */
  server_limit: {
    max_connections: number
    reserve: number
    needed: number
    fits: boolean
    /** The largest maximum per pool with which all replicas fit. */
    largest_max: number
    note: string
  } | null
}

// Of the guide's 10-20 for background tasks and 5-10 for administration the smaller ones.
const RESERVED_FOR_BACKGROUND = 10
const RESERVED_FOR_ADMINISTRATION = 5

const SEED_NOTE =
  'As the production guide of Composable Rust has it. It divides by the duration of a request, so it grows when requests ' +
  'get faster; with 1000/s, 10 ms, 50 ms and a buffer of 5 it gives 205, where the guide says 25. Use littles_law.'
const LITTLE_NOTE =
  'Connections in use at a time are arrivals per second times the time each is held. Give the rate of one replica at its peak.'

/** The formulas with their values, the band for the load, a recommendation, and the check against the server. */
export function sizePool(inputs: SizingInputs, profile: Profile | undefined, server: ServerLimits | null): Sizing {
  const { requestsPerSecond: rate, holdMs, requestMs, buffer, cores, spindles, replicas, poolMax } = inputs
  const hold = holdMs === null ? '?' : seconds(holdMs)
  const request = requestMs === null ? '?' : seconds(requestMs)
  const little = holdMs === null ? null : Math.ceil(round((rate * holdMs) / 1000)) + buffer
  const busiest = 2 * cores + spindles
  const formulas: Formula[] = [
    {
      name: 'seed',
      formula: `(${amount(rate)}/s × ${hold} s) / ${request} s + ${buffer}`,
      connections:
        holdMs === null || requestMs === null ? null : Math.ceil(round((rate * holdMs) / requestMs)) + buffer,
      note: SEED_NOTE,
    },
    {
      name: 'littles_law',
      formula: `${amount(rate)}/s × ${hold} s + ${buffer}`,
      connections: little,
      note: LITTLE_NOTE,
    },
    {
      name: 'cores_and_spindles',
      formula: `(2 × ${cores}) + ${spindles}`,
      connections: busiest,
      note:
        `As the PostgreSQL wiki and HikariCP have it, with ${spindles} ${spindles === 1 ? 'spindle' : 'spindles'} (an SSD counts ` +
        'as one or two). What the server works on at a time: connections of all replicas beyond it wait for each other there instead of in the pool.',
    },
  ]
  const limit = server === null ? null : serverLimit(server, replicas, poolMax)
  const wanted = little ?? Math.min(busiest, poolMax)
  return {
    formulas,
    band: bandOf(rate, profile),
    recommended: Math.max(1, Math.min(wanted, limit?.largest_max ?? wanted)),
    server_limit: limit,
  }
}

/** The band of that guide for a load; a profile that is not production has its own. */
export function bandOf(requestsPerSecond: number, profile?: Profile): Band {
  if (profile === 'development') return { name: 'development', applies_to: 'APP_ENV=development', min: 5, max: 5 }
  if (profile === 'staging') return { name: 'staging', applies_to: 'APP_ENV=staging', min: 10, max: 20 }
  if (requestsPerSecond < 100) return { name: 'low_traffic', applies_to: 'less than 100 requests/s', min: 20, max: 50 }
  if (requestsPerSecond <= 1000) {
    return { name: 'medium_traffic', applies_to: '100 to 1000 requests/s', min: 50, max: 100 }
  }
  return { name: 'high_traffic', applies_to: 'more than 1000 requests/s', min: 100, max: 200 }
}

function serverLimit(server: ServerLimits, replicas: number, poolMax: number): NonNullable<Sizing['server_limit']> {
  // Each replica has one connection beside its pool, for health and administration.
  const reserve = RESERVED_FOR_BACKGROUND + RESERVED_FOR_ADMINISTRATION + replicas + server.reserved
  const needed = replicas * poolMax + reserve
  const fits = needed <= server.max_connections
  const sum = `${replicas} × ${poolMax} + ${reserve} = ${needed}`
  return {
    max_connections: server.max_connections,
    reserve,
    needed,
    fits,
    largest_max: Math.max(0, Math.floor((server.max_connections - reserve) / replicas)),
    note:
      `${sum} ${fits ? 'fits into' : 'is more than'} ${server.max_connections}. The reserve is ${RESERVED_FOR_BACKGROUND} for ` +
      `background tasks, ${RESERVED_FOR_ADMINISTRATION} for administration, ${replicas} for health checks, and ` +
      `${server.reserved} that the server keeps for superusers.`,
  }
}

const round = (value: number): number => Math.round(value * 1e6) / 1e6
const amount = (value: number): string => String(Math.round(value * 100) / 100)
const seconds = (ms: number): string => String(round(ms / 1000))
