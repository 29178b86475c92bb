// Attempts at the same thing, taken together: a retry and a replay are not judged alone.

import { isDeepStrictEqual } from 'node:util'
import type { StoredEvent } from '../client/client.ts'
import type { AppendOperation, Operation, SentAppend, SentEvent } from './history.ts'
import type { Stored } from './stored.ts'

export type Acknowledged = AppendOperation & { answer: { outcome: 'ok' } }

/** Something whole that clients tried to store, maybe several times. */
export interface Intent {
  appends: SentAppend[]
  /** In the order in which they were answered. */
  attempts: AppendOperation[]
  acknowledged: Acknowledged[]
  /** Whether every attempt was refused, so that nothing may be stored. */
  isRefused: boolean
  /** The earliest it can have been stored. */
  startedAt: number
  /** When it was known to be stored; infinity when it never was. */
  knownAt: number
  /** For each append its events as they are stored, `undefined` where one is not or is not as it was sent. */
  stored: (StoredEvent | undefined)[][]
  /**
   * What is stored of it and was not sent within anything else that may be stored. An id can be sent again in another
   * batch, and when neither was answered as new, either may be what is there.
   */
  own: StoredEvent[]
}

/** Whether the answer says that at least one of its appends was stored by this request. */
export const isAsNew = ({ answer }: Acknowledged): boolean => answer.results.some(({ replayed }) => !replayed)

const isAcknowledged = (attempt: AppendOperation): attempt is Acknowledged => attempt.answer.outcome === 'ok'

/** All of a history, in the order in which their first attempts were answered. */
export function intentsOf(operations: readonly Operation[], stored: Stored): Intent[] {
  const byContent = new Map<string, AppendOperation[]>()
  for (const operation of operations) {
    if (operation.kind !== 'append') continue
    const key = JSON.stringify(operation.appends.map(({ stream_id: streamId, events }) => [streamId, events]))
    const attempts = byContent.get(key)
    if (attempts === undefined) byContent.set(key, [operation])
    else attempts.push(operation)
  }
  const intents = [...byContent.values()].map((unordered): Intent => {
    const attempts = unordered.toSorted((a, b) => a.to_ms - b.to_ms)
    const { appends } = attempts[0] as AppendOperation
    const acknowledged = attempts.filter(isAcknowledged)
    return {
      appends,
      attempts,
      acknowledged,
      isRefused: attempts.every(({ answer }) => answer.outcome === 'refused'),
      startedAt: Math.min(...attempts.map((attempt) => attempt.from_ms)),
      knownAt: acknowledged[0]?.to_ms ?? Number.POSITIVE_INFINITY,
      stored: appends.map(({ stream_id: streamId, events }) =>
        events.map((event) => {
          const found = stored.byId(event.id)
          return found !== undefined && isAsSent(found, streamId, event) ? found : undefined
        }),
      ),
      own: [],
    }
  })
  assignOwners(intents)
  return intents
}

function assignOwners(intents: Intent[]): void {
  const owners = new Map<StoredEvent, number>()
  for (const { isRefused, stored } of intents) {
    if (isRefused) continue
    for (const event of stored.flat()) if (event !== undefined) owners.set(event, (owners.get(event) ?? 0) + 1)
  }
  for (const intent of intents) {
    const alone = intent.isRefused ? undefined : 1
    intent.own = intent.stored
      .flat()
      .filter((event) => event !== undefined)
      .filter((event) => owners.get(event) === alone)
  }
}

/** Whether what is stored of it was stored by it. */
export const isStorer = (intent: Intent): boolean =>
  intent.acknowledged.some(isAsNew) ||
  (!intent.isRefused && intent.own.length > 0 && intent.own.length === wholeOf(intent)?.length)

/** Whether a stored event has the stream, type, data and metadata that were sent; ids are not compared. */
export const isAsSent = (found: StoredEvent, streamId: string, { type, data, metadata }: SentEvent): boolean =>
  found.stream_id === streamId &&
  found.type === type &&
  isDeepStrictEqual(found.data, data) &&
  isDeepStrictEqual(found.metadata, metadata)

/** Its events when all of them are stored. */
export function wholeOf({ stored }: Intent): StoredEvent[] | undefined {
  const events = stored.flat()
  return events.every((event) => event !== undefined) ? events : undefined
}

/** The smallest and the largest position of what is stored of it. */
export function positionsOf({ stored }: Intent): { first: number; last: number } | undefined {
  const positions = stored.flat().flatMap((event) => (event === undefined ? [] : [event.position]))
  return positions.length === 0 ? undefined : { first: Math.min(...positions), last: Math.max(...positions) }
}

/** The attempts that may have been the one which stored it. */
export function storingAttempts({ attempts, acknowledged }: Intent): AppendOperation[] {
  const sure = acknowledged.filter(isAsNew)
  return sure.length > 0 ? sure : attempts.filter(({ answer }) => answer.outcome !== 'refused')
}
