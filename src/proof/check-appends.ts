// What became of every append: acknowledged means stored as answered, refused means not stored, unknown means whole.

import { isDeepStrictEqual } from 'node:util'
import type { Appended, StoredEvent } from '../client/client.ts'
import type { AppendOperation } from './history.ts'
import { type Acknowledged, type Intent, isAsNew, isAsSent, isStorer, wholeOf } from './intents.ts'
import type { Finding } from './rules.ts'
import type { Stored } from './stored.ts'

/** Whether what was acknowledged is stored, as it was answered, and nothing else is. */
export function checkAppends(intents: readonly Intent[], stored: Stored): Finding[] {
  return [...checkOrigins(intents, stored), ...intents.flatMap(checkIntent), ...intents.flatMap(checkAnswers)]
}

/** Every stored event was sent like this, and is there once. */
function checkOrigins(intents: readonly Intent[], stored: Stored): Finding[] {
  const senders = new Map<string, { isSent: boolean; operations: number[] }>()
  for (const { appends, attempts } of intents) {
    for (const { stream_id: streamId, events } of appends) {
      for (const event of events) {
        const sender = senders.get(event.id) ?? { isSent: false, operations: [] }
        senders.set(event.id, sender)
        const found = stored.byId(event.id)
        sender.isSent ||= found !== undefined && isAsSent(found, streamId, event)
        sender.operations.push((attempts[0] as AppendOperation).n)
      }
    }
  }
  return stored.events.flatMap((event): Finding[] => {
    const { id, position } = event
    const first = stored.byId(id) as StoredEvent
    const sender = senders.get(id)
    const what = `the event ${id} at position ${position}`
    const operations = sender?.operations.slice(0, 2) ?? []
    if (first !== event) {
      const positions = [first.position, position]
      return [{ rule: 'id_twice', detail: `${what} is at ${first.position} as well`, operations, positions }]
    }
    const finding = { operations, positions: [position] }
    if (sender === undefined) return [{ rule: 'unsent_stored', detail: `${what} was never sent`, ...finding }]
    if (sender.isSent) return []
    return [{ rule: 'content_changed', detail: `${what} is not what was sent under this id`, ...finding }]
  })
}

function checkIntent(intent: Intent): Finding[] {
  const { isRefused, attempts, acknowledged, appends, own } = intent
  const all = intent.stored.flat()
  const missing = appends.flatMap(({ events }) => events).filter((_, i) => all[i] === undefined)
  const operations = attempts.map(({ n }) => n)
  const positions = own.map(({ position }) => position)
  if (isRefused) {
    if (own.length === 0) return []
    const detail = `${own.length} of ${all.length} events are stored, though every attempt was refused`
    return [{ rule: 'refused_stored', detail, operations, positions }]
  }
  if (missing.length > 0) {
    const detail = `${missing.length} of ${all.length} events are not stored: ${listed(missing.map(({ id }) => id))}`
    if (acknowledged.length > 0) {
      return [{ rule: 'acknowledged_lost', detail, operations: acknowledged.map(({ n }) => n), positions: [] }]
    }
    return own.length === 0 ? [] : [{ rule: 'batch_torn', detail, operations, positions }]
  }
  if (!isStorer(intent) || isWhole(intent)) return []
  return [{ rule: 'batch_torn', detail: 'its events are not in one piece', operations, positions }]
}

/** Positions count on over all of it, versions within each stream. */
function isWhole(intent: Intent): boolean {
  const events = wholeOf(intent) as StoredEvent[]
  const countsOn = (events: (StoredEvent | undefined)[], counted: 'position' | 'version') =>
    events.every((event, i) => i === 0 || event?.[counted] === (events[i - 1]?.[counted] as number) + 1)
  return countsOn(events, 'position') && intent.stored.every((events) => countsOn(events, 'version'))
}

/** The first acknowledgement is what is stored, and every further one is the first. */
function checkAnswers(intent: Intent): Finding[] {
  const [first, ...more] = intent.acknowledged
  if (first === undefined || wholeOf(intent) === undefined) return []
  const findings: Finding[] = []
  const { results } = first.answer
  const expected = intent.stored.map((events) => answerFor(events as StoredEvent[]))
  if (!isDeepStrictEqual(results.map(withoutReplayed), expected)) {
    const at = results.findIndex((result, i) => !isDeepStrictEqual(withoutReplayed(result), expected[i]))
    findings.push({
      rule: 'answer_wrong',
      detail: `${describe(results[at])} was answered, ${describe(expected[at])} is stored`,
      operations: [first.n],
      positions: [expected[at]?.first_position ?? 0],
    })
  }
  for (const again of more) {
    const detail = differenceOf(first, again)
    if (detail !== undefined) {
      findings.push({ rule: 'replay_differs', detail, operations: [first.n, again.n], positions: [] })
    }
  }
  const asNew = intent.acknowledged.filter(isAsNew)
  if (asNew.length > 1) {
    const operations = asNew.slice(0, 2).map(({ n }) => n)
    findings.push({ rule: 'replay_differs', detail: 'it was answered as new twice', operations, positions: [] })
  }
  return findings
}

function differenceOf(first: Acknowledged, again: Acknowledged): string | undefined {
  const [before, after] = [first, again].map(({ answer }) => answer.results.map(withoutReplayed))
  if (isDeepStrictEqual(before, after)) return undefined
  return `first ${describe(before?.[0])}, then ${describe(after?.[0])}`
}

type Answer = Omit<Appended, 'replayed'>

const withoutReplayed = ({ replayed: _replayed, ...answer }: Appended): Answer => answer

const answerFor = (events: StoredEvent[]): Answer => {
  const [first, last] = [events[0] as StoredEvent, events.at(-1) as StoredEvent]
  return {
    stream_id: first.stream_id,
    first_version: first.version,
    version: last.version,
    first_position: first.position,
    position: last.position,
    event_ids: events.map(({ id }) => id),
    created_at: first.created_at,
  }
}

const describe = (answer: Answer | undefined): string =>
  answer === undefined
    ? 'nothing'
    : `${answer.stream_id}@${answer.first_version}-${answer.version} at ${answer.first_position}-${answer.position} (${answer.created_at})`

const listed = (ids: string[]): string => `${ids.slice(0, 3).join(', ')}${ids.length > 3 ? ', …' : ''}`
