// From the answer per condition to an outcome per request.

import type { Appended, AppendOutcome, AppendRequest, FailedCondition } from '../event-log.ts'
import { APPLIED, type BatchAnswer, CONFLICT, ID_STORED } from './append-events.ts'

/** All event ids of a request. */
export const idsOf = ({ appends }: AppendRequest): string[] =>
  appends.flatMap(({ events }) => events.map(({ id }) => id))

/** The requests of a batch of which some id was found stored. */
export function requestsWithStoredIds(requests: AppendRequest[], { status }: BatchAnswer): Set<AppendRequest> {
  const found = new Set<AppendRequest>()
  if (!status.includes(ID_STORED)) return found
  let condition = 0
  for (const request of requests) {
    const last = condition + request.appends.length
    if (status.slice(condition, last).includes(ID_STORED)) found.add(request)
    condition = last + request.checks.length
  }
  return found
}

/** What became of a request none of whose ids was stored; `first` is the index of its first condition. */
export function readOutcome(request: AppendRequest, answer: BatchAnswer, first: number): AppendOutcome {
  const last = first + request.appends.length + request.checks.length
  const statuses = answer.status.slice(first, last)
  if (statuses.every((status) => status === APPLIED))
    return { kind: 'appended', appends: readAppends(request, answer, first) }
  const conditions = [...request.appends, ...request.checks]
  const failed: FailedCondition[] = []
  conditions.forEach(({ streamId, expectedVersion }, i) => {
    if (statuses[i] !== CONFLICT) return
    const isAppend = i < request.appends.length
    failed.push({
      index: isAppend ? i : i - request.appends.length,
      kind: isAppend ? 'append' : 'check',
      stream_id: streamId,
      expected_version: expectedVersion,
      current_version: answer.currentVersion[first + i] as number,
    })
  })
  return { kind: 'conflict', failed }
}

function readAppends(request: AppendRequest, answer: BatchAnswer, first: number): Appended[] {
  return request.appends.map(({ streamId, events }, i) => {
    const firstVersion = answer.firstVersion[first + i] as number
    const firstPosition = answer.firstPosition[first + i] as number
    return {
      stream_id: streamId,
      first_version: firstVersion,
      version: firstVersion + events.length - 1,
      first_position: firstPosition,
      position: firstPosition + events.length - 1,
      event_ids: events.map(({ id }) => id),
      created_at: answer.createdAt,
      replayed: false,
    }
  })
}
