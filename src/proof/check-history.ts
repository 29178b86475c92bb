// The judge: a pure function over what clients did and what the store holds.

import { checkAppends } from './check-appends.ts'
import { checkConditions } from './check-conditions.ts'
import { checkOrder } from './check-order.ts'
import { checkReads } from './check-reads.ts'
import type { AppendOperation, History } from './history.ts'
import { intentsOf } from './intents.ts'
import type { Finding } from './rules.ts'
import { Stored } from './stored.ts'

export interface Verdict {
  /** Those that need the fewest operations to be seen come first. */
  findings: Finding[]
  counts: Counts
}

/** What was judged. */
export interface Counts {
  events: number
  streams: number
  /** Attempts to append, by what was answered. */
  ok: number
  refused: number
  unknown: number
  /** Acknowledgements that were replays. */
  replayed: number
  /** Of what was never acknowledged nor refused: how many turned out to be stored. */
  unknown_stored: number
  pages: number
  followers: number
  /** Events that followers got. */
  followed: number
}

/**
 * Judges what clients did by the feed as it is at the end; looks at nothing else, so it can be run again on a stored history.
 */
export function checkHistory({ operations, dump }: History): Verdict {
  const stored = new Stored(dump)
  const intents = intentsOf(operations, stored)
  const findings = [
    ...checkAppends(intents, stored),
    ...checkConditions(intents, stored),
    ...checkOrder(dump, stored, intents),
    ...checkReads(operations, stored, intents),
  ]
  findings.sort((a, b) => a.operations.length - b.operations.length)
  const attempts = operations.filter((each) => each.kind === 'append')
  const answered = (outcome: AppendOperation['answer']['outcome']) =>
    attempts.filter(({ answer }) => answer.outcome === outcome).length
  const followers = operations.filter((each) => each.kind === 'follow')
  return {
    findings,
    counts: {
      events: stored.events.length,
      streams: stored.byStream.size,
      ok: answered('ok'),
      refused: answered('refused'),
      unknown: answered('unknown'),
      replayed: attempts.filter(({ answer }) => answer.outcome === 'ok' && answer.results.some((each) => each.replayed))
        .length,
      unknown_stored: intents.filter(
        ({ isRefused, acknowledged, stored }) =>
          !isRefused && acknowledged.length === 0 && stored.flat().every((event) => event !== undefined),
      ).length,
      pages: operations.filter((each) => each.kind === 'read').length,
      followers: followers.length,
      followed: followers.reduce((sum, { events }) => sum + events.length, 0),
    },
  }
}
