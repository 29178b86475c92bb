// What readers and followers saw: the same as the dump, and nothing acknowledged was missing from it.

import type { StoredEvent } from '../client/client.ts'
import { digestOf } from './digest.ts'
import type { FollowOperation, Operation, ReadOperation, SeenEvent } from './history.ts'
import { type Intent, positionsOf } from './intents.ts'
import type { Finding } from './rules.ts'
import type { Stored } from './stored.ts'

/** Whether readers and followers saw each event once, in order, and as it is stored. */
export function checkReads(operations: readonly Operation[], stored: Stored, intents: readonly Intent[]): Finding[] {
  const digests = new Map<StoredEvent, string>()
  const digest = (event: StoredEvent): string => {
    const known = digests.get(event) ?? digestOf(event)
    digests.set(event, known)
    return known
  }
  const seen = operations.filter((operation) => operation.kind !== 'append')
  const reads = seen.filter((operation) => operation.kind === 'read')
  return [...seen.flatMap((each) => checkSeen(each, stored, digest)), ...checkFreshness(reads, intents)]
}

function checkSeen(
  seen: ReadOperation | FollowOperation,
  stored: Stored,
  digest: (event: StoredEvent) => string,
): Finding[] {
  const { n, of: scope, after, up_to: upTo, events } = seen
  const rule = seen.kind === 'read' ? 'page_differs' : 'follower_differs'
  const findings: Finding[] = []
  const add = (detail: string, position: number) => {
    findings.push({ rule, detail, operations: [n], positions: [position] })
  }
  if (seen.kind === 'follow' && !seen.has_caught_up) {
    const detail = `it stands at ${upTo}; the end of the feed is ${stored.last}`
    findings.push({ rule: 'follower_behind', detail, operations: [n], positions: [upTo] })
  }
  if (seen.kind === 'read' && scope.stream_id === undefined && seen.head > stored.last) {
    add(`its head was ${seen.head}; the feed ends at ${stored.last}`, seen.head)
  }
  const isWholeFeed = scope.stream_id === undefined && scope.stream_prefix === undefined && scope.types === undefined
  if (isWholeFeed) {
    const at = events.findIndex(({ position }, i) => position !== after + 1 + i)
    const wrong = at === -1 ? after + events.length + 1 : after + at + 1
    if (at !== -1 || wrong <= upTo) add(`where ${wrong} belongs it has ${events[at]?.position ?? 'nothing'}`, wrong)
  }
  const expected = stored.inRange(scope, after, upTo)
  const own = events.filter(({ id }) => id !== undefined)
  const length = Math.max(expected.length, own.length)
  for (let i = 0; i < length; i++) {
    const difference = differenceOf(own[i], expected[i], digest)
    if (difference === undefined) continue
    add(difference, own[i]?.position ?? expected[i]?.position ?? 0)
    break
  }
  return findings
}

function differenceOf(
  seen: SeenEvent | undefined,
  expected: StoredEvent | undefined,
  digest: (event: StoredEvent) => string,
): string | undefined {
  if (seen === undefined) return `the event at position ${expected?.position} is missing`
  const what = `${seen.stream_id}@${seen.version} at position ${seen.position}`
  if (expected === undefined) return `${what} does not belong there`
  if (seen.position !== expected.position || seen.id !== expected.id || seen.version !== expected.version) {
    return `${what} came where ${expected.stream_id}@${expected.version} at position ${expected.position} belongs`
  }
  return seen.digest === digest(expected) ? undefined : `${what} was not what is stored`
}

/** The head that a read told is not before what had been acknowledged. */
function checkFreshness(reads: ReadOperation[], intents: readonly Intent[]): Finding[] {
  const known = intents.filter(({ acknowledged }) => acknowledged.length > 0)
  known.sort((a, b) => a.knownAt - b.knownAt)
  const inOrder = reads.toSorted((a, b) => a.from_ms - b.from_ms)
  const findings: Finding[] = []
  const heads = new Map<string | undefined, { number: number; operation: number }>()
  const raise = (key: string | undefined, number: number, operation: number) => {
    if ((heads.get(key)?.number ?? 0) < number) heads.set(key, { number, operation })
  }
  let next = 0
  for (const { n, from_ms: fromMs, of: scope, head } of inOrder) {
    for (let intent = known[next]; intent !== undefined && intent.knownAt < fromMs; intent = known[++next]) {
      const operation = intent.acknowledged[0]?.n as number
      raise(undefined, positionsOf(intent)?.last ?? 0, operation)
      for (const event of intent.stored.flat())
        if (event !== undefined) raise(event.stream_id, event.version, operation)
    }
    const least = heads.get(scope.stream_id)
    if (least === undefined || head >= least.number) continue
    const detail = `its head was ${head}, after ${least.number} had been acknowledged`
    findings.push({ rule: 'stale_read', detail, operations: [least.operation, n], positions: [least.number] })
  }
  return findings
}
