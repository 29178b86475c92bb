// Leases on PostgreSQL: members share the partitions of a consumer, a batch at a time. A partition that one of them
// has is given to nobody else, so each stream stays in order; nothing is assigned for longer than a batch.

import { randomUUID } from 'node:crypto'
import {
  type Change,
  comeBack,
  exhausted,
  finish,
  type HandedOut,
  handOut,
  type PartitionState,
  without,
} from '../../consumers/partition-state.ts'
import { AppError } from '../../errors.ts'
import type { MeasuredPool } from '../connections/pool.ts'
import type { EventLine } from '../event-log.ts'
import { quoteIdentifier } from '../sql.ts'
import { inTransaction, query, type Run } from '../transaction.ts'
import {
  partitionEvents,
  partitionEventsStatement,
  type Situation,
  situation,
  situationStatement,
} from './consumer-claim.ts'
import { aheadOfStore, consumerNotFound, consumerPaused } from './consumer-errors.ts'
import { parkStatement, unparkStatement } from './consumer-parked.ts'
import {
  checkpointStatement,
  giveBackStatement,
  lockFreeStatement,
  lockLeaseStatement,
  partitionState,
  type SaveOptions,
  saveStatement,
} from './consumer-partitions.ts'
import type { Claim, ClaimRequest, NackRequest, Progress } from './consumer-store.ts'

/** Positions that one statement looks at when a filter lets few events pass. */
export const WINDOW = 10_000
/** Windows that one request looks at. */
export const MAX_WINDOWS = 10

const MAX_BACKOFF_SECONDS = 300

/** What one window gave. */
interface Batch {
  token: string | null
  leaseUntil: string | null
  events: EventLine[]
  attempts: number[]
}

interface LockedLease {
  states: PartitionState[]
  leaseSeconds: number
  maxAttempts: number
}

const NOTHING: Batch = { token: null, leaseUntil: null, events: [], attempts: [] }

export class ConsumerLeases {
  readonly #pool: MeasuredPool
  readonly #schema: string

  constructor(pool: MeasuredPool, schema: string) {
    this.#pool = pool
    this.#schema = schema
  }

  async claim(name: string, request: ClaimRequest): Promise<Claim> {
    let now = await this.#situation(name, request.member)
    let batch = NOTHING
    for (let windows = 0; windows < MAX_WINDOWS && now.hasFreeWork && batch.token === null; windows++) {
      batch = await inTransaction(this.#pool, (run) => this.#claimWindow(run, name, request, now))
      if (batch.token === null) now = await this.#situation(name, request.member)
    }
    return { filter: now.filter, ...batch, checkpoint: now.checkpoint, head: now.head, mayHaveMore: now.hasWork }
  }

  finish(name: string, token: string, position = Number.POSITIVE_INFINITY): Promise<Progress> {
    return inTransaction(this.#pool, async (run) => {
      const { states, leaseSeconds } = await this.#lockLease(run, name, token)
      const changes = states.map((state) => finish(state, (event) => event.position <= position))
      const done = changes.flatMap(({ positions }) => positions)
      if (done.length > 0) await run(unparkStatement(this.#schema, name, done))
      return this.#keep(run, name, { token, leaseSeconds }, changes, 0)
    })
  }

  nack(name: string, request: NackRequest): Promise<Progress> {
    const { token, action, position } = request
    const isFailed = (event: HandedOut) => position === undefined || event.position === position
    return inTransaction(this.#pool, async (run) => {
      const { states, leaseSeconds, maxAttempts } = await this.#lockLease(run, name, token)
      const isParked = (event: HandedOut) => isFailed(event) && (action === 'park' || event.attempts >= maxAttempts)
      const parked = states.flatMap(({ partition, handedOut, inFlight }) =>
        handedOut
          .slice(0, inFlight)
          .filter(isParked)
          .map((event) => ({ partition, ...event })),
      )
      if (parked.length > 0) await run(parkStatement(this.#schema, name, parked, request.reason ?? null))
      const changes = states.map((state) => finish(state, isParked))
      if (action === 'park') return this.#keep(run, name, { token, leaseSeconds }, changes, parked.length)
      for (const { state } of changes) await this.#giveBack(run, name, state, request, isFailed)
      const progress = await this.#keep(run, name, { token, leaseSeconds }, [], parked.length)
      return { ...progress, acknowledged: parked.length }
    })
  }

  // Only what failed has to wait; what is in other partitions can be handed out at once.
  async #giveBack(
    run: Run,
    name: string,
    state: PartitionState,
    { token, position, delaySeconds }: NackRequest,
    isFailed: (event: HandedOut) => boolean,
  ): Promise<void> {
    const failed = state.handedOut.slice(0, state.inFlight).find(isFailed)
    const delay = failed === undefined ? 0 : (delaySeconds ?? backoffSeconds(failed.attempts))
    await this.#save(run, name, [comeBack(state, position)], { doneToken: token, delaySeconds: delay })
  }

  async #situation(name: string, member: string): Promise<Situation> {
    const [row] = await query(this.#pool, situationStatement(this.#schema, name, member))
    if (row === undefined) throw consumerNotFound(name)
    const found = situation(row)
    if (found.isPaused) throw consumerPaused(name)
    if (found.checkpoint > found.head) throw aheadOfStore(found.checkpoint, found.head)
    return found
  }

  async #claimWindow(run: Run, name: string, request: ClaimRequest, now: Situation): Promise<Batch> {
    await run(giveBackStatement(this.#schema, name, request.member))
    const share = Math.ceil(now.partitions / now.members)
    const locked = (await run(lockFreeStatement(this.#schema, name, now.head, share))).map(partitionState)
    const [first] = locked
    if (first === undefined) return NOTHING
    // One that is far behind or ahead of the first has a window of its own when its turn comes.
    const base = first.checkpoint
    const served = locked.filter(({ checkpoint }) => checkpoint >= base && checkpoint < base + WINDOW)
    const states = await this.#parkExhausted(
      run,
      name,
      served.map((state) => comeBack(state)),
      now.maxAttempts,
    )
    const { limit, maxBytes } = request
    const upTo = Math.min(base + WINDOW, Math.max(now.head, base))
    const { filter, partitions } = now
    const statement = { name, filter, partitions, from: states, upTo, limit, maxBytes }
    const { found, isFull } = partitionEvents(await run(partitionEventsStatement(this.#schema, statement)), limit)
    const reaches = isFull ? (found.at(-1)?.at ?? base) : upTo
    const changes = states.map((state) => {
      const own = found.filter(({ partition }) => partition === state.partition)
      return handOut(
        state,
        own.map(({ at }) => at),
        reaches,
        now.maxAttempts,
      )
    })
    const token = randomUUID()
    const holder = { member: request.member, token, leaseSeconds: now.leaseSeconds }
    const saved = await this.#save(
      run,
      name,
      changes.map(({ state }) => state),
      { holder, isServed: true },
    )
    const out = new Map(
      changes.flatMap(({ state }) => state.handedOut.slice(0, state.inFlight)).map((event) => [event.position, event]),
    )
    const events = found.filter(({ at }) => out.has(at))
    if (events.length === 0) return NOTHING
    return {
      token,
      leaseUntil: saved,
      events,
      attempts: events.map(({ at }) => out.get(at)?.attempts as number),
    }
  }

  // Leases that ran out as often as is allowed: whoever gets such an event does not live to say so.
  async #parkExhausted(
    run: Run,
    name: string,
    states: PartitionState[],
    maxAttempts: number,
  ): Promise<PartitionState[]> {
    const parked = states.flatMap((state) =>
      exhausted(state, maxAttempts).map((event) => ({ partition: state.partition, ...event })),
    )
    if (parked.length === 0) return states
    await run(parkStatement(this.#schema, name, parked, LEASES_RAN_OUT))
    return states.map((state) => without(state, exhausted(state, maxAttempts)))
  }

  /** Without states when the lease was done with before. */
  async #lockLease(run: Run, name: string, token: string): Promise<LockedLease> {
    const rows = await run(lockLeaseStatement(this.#schema, name, token))
    const [leaseSeconds, maxAttempts] = (rows[0]?.slice(-2) ?? []).map(Number)
    if (leaseSeconds !== undefined && maxAttempts !== undefined) {
      return { states: rows.map(partitionState), leaseSeconds, maxAttempts }
    }
    const tables = quoteIdentifier(this.#schema)
    const [known] = await run({
      name: 'annals_consumer_was_done',
      text: `SELECT EXISTS (SELECT FROM ${tables}.annals_consumer_partitions WHERE consumer = $1 AND done_token = $2::uuid)
        FROM ${tables}.annals_consumers WHERE name = $1`,
      values: [name, token],
    })
    if (known === undefined) throw consumerNotFound(name)
    if (known[0]) return { states: [], leaseSeconds: 0, maxAttempts: 0 }
    throw new AppError('lease_lost', 'The lease has ended, and others may have its events.')
  }

  /** Writes a lease back; what is left of it begins another lease time. */
  async #keep(
    run: Run,
    name: string,
    { token, leaseSeconds }: { token: string; leaseSeconds: number },
    changes: Change[],
    parked: number,
  ): Promise<Progress> {
    const states = changes.map(({ state }) => state)
    const options = { holder: { member: null, token, leaseSeconds }, doneToken: token }
    const leaseUntil = states.length === 0 ? null : await this.#save(run, name, states, options)
    const [row] = await run(checkpointStatement(this.#schema, name))
    return {
      checkpoint: Number(row?.[0] ?? 0),
      acknowledged: changes.reduce((sum, { positions }) => sum + positions.length, 0),
      inFlight: changes.reduce((sum, { state }) => sum + state.inFlight, 0),
      leaseUntil,
      parked,
    }
  }

  /** Answers when the leases end that it wrote; null without. */
  async #save(run: Run, name: string, states: PartitionState[], options: SaveOptions): Promise<string | null> {
    const rows = await run(saveStatement(this.#schema, name, states, options))
    return (rows.find(([, until]) => until !== null)?.[1] as string | undefined) ?? null
  }
}

const LEASES_RAN_OUT = 'its lease ran out as often as an attempt is allowed'

const backoffSeconds = (attempts: number): number => Math.min(2 ** (attempts - 1), MAX_BACKOFF_SECONDS)
