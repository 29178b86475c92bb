// The judge is judged: correct histories pass, and every way in which we could break one is found and named.

import fc from 'fast-check'
import t from 'tap'
import type { StoredEvent } from '../../src/client/client.ts'
import { checkHistory } from '../../src/proof/check-history.ts'
import {
  type AppendOperation,
  type FollowOperation,
  type History,
  isForeign,
  type ReadOperation,
  type Scope,
} from '../../src/proof/history.ts'
import { RULES, type Rule } from '../../src/proof/rules.ts'
import { ModelStore, OWN, streamOf } from '../support/model-history.ts'

/** A correct history in which everything occurs. The comments give `n` and positions. */
function correctHistory(): History {
  const store = new ModelStore()
  store.append([store.to('a', 1, 0)]) // 0: position 1
  const batch = store.append([store.to('b', 3, 0)]) // 1: 2-4
  store.retry(batch) // 2: replay
  store.foreign(2) // 5-6
  const lost = store.append([store.to('a', 2, 1)], [], 'reply_lost') // 3: 7-8
  store.retry(lost) // 4: replay, acknowledged
  store.append([store.to('a', 1, 1)]) // 5: conflict, current 3
  store.append([store.to('c', 1, 0), store.to('b', 1, 3)], [{ stream_id: streamOf('a'), expected_version: 3 }]) // 6: 9-10
  store.append([store.to('d', 2)], [], 'request_lost') // 7: never stored
  store.append([store.to('e', 2)], [], 'reply_lost') // 8: 11-12, never acknowledged
  store.append([store.to('e', 2, 'exists')]) // 9: 13-14
  const first = (batch.appends[0] as AppendOperation['appends'][0]).events[0]
  store.append([{ stream_id: streamOf('b'), expected_version: 'any', events: [{ ...first, data: 'other' } as never] }]) // 10: 422
  store.read({}, 'forward', 0, 100) // 11
  store.read({}, 'backward', 15, 5) // 12
  store.read({ stream_id: streamOf('b') }, 'forward', 1, 10) // 13
  store.read(OWN, 'forward', 4, 3) // 14
  store.foreign(1) // 15
  store.follow(OWN, 0) // 15
  store.follow({}, 3, 'ndjson') // 16
  store.follow({ stream_id: streamOf('a') }, 1, 'poll') // 17
  store.follow({ ...OWN, types: ['Even'] }, 0) // 18
  return store.history()
}

const rulesOf = (history: History): Rule[] =>
  [...new Set(checkHistory(history).findings.map(({ rule }) => rule))].sort()

t.test('a correct history passes, and is counted', (t) => {
  const { findings, counts } = checkHistory(correctHistory())
  t.same(findings, [])
  t.same(counts, {
    events: 12,
    streams: 4,
    ok: 6,
    refused: 2,
    unknown: 3,
    replayed: 2,
    unknown_stored: 1,
    pages: 4,
    followers: 4,
    followed: 12 + 12 + 2 + 6,
  })
  t.end()
})

const append = (history: History, n: number) => history.operations[n] as AppendOperation
const read = (history: History, n: number) => history.operations[n] as ReadOperation
const follow = (history: History, n: number) => history.operations[n] as FollowOperation
const entryAt = (history: History, position: number) =>
  history.dump.entries.findIndex((entry) => !isForeign(entry) && entry.position === position)
const eventAt = (history: History, position: number) => history.dump.entries[entryAt(history, position)] as StoredEvent
const answerOf = (history: History, n: number) => {
  const { answer } = append(history, n)
  if (answer.outcome !== 'ok') throw new Error(`${n} was not acknowledged`)
  return answer.results[0] as (typeof answer.results)[0]
}
const forgetReads = (history: History) => {
  history.operations = history.operations.filter(({ kind }) => kind === 'append')
}
/** Takes an event away and closes the gap, as if it had never been stored. */
const unstore = (history: History, position: number) => {
  const { stream_id: streamId } = eventAt(history, position)
  history.dump.entries.splice(entryAt(history, position), 1)
  for (const entry of history.dump.entries) {
    if (isForeign(entry)) {
      entry.foreign = entry.foreign.map((at) => (at > position ? at - 1 : at)) as [number, number]
    } else if (entry.position > position) {
      entry.position--
      if (entry.stream_id === streamId) entry.version--
    }
  }
  history.dump.head--
}
const clone = (event: StoredEvent, changes: Partial<StoredEvent>): StoredEvent => ({ ...event, ...changes })

/** A history with one thing wrong, and exactly the rules that it breaks. */
const MUTANTS: [what: string, break_: (history: History) => void, rules: Rule[]][] = [
  [
    'an acknowledged event is gone',
    (history) => {
      forgetReads(history)
      unstore(history, 14)
    },
    ['acknowledged_lost'],
  ],
  [
    'an acknowledged event is gone and leaves a gap, and readers saw it',
    (history) => void history.dump.entries.splice(entryAt(history, 1), 1),
    // Its stream begins with version 2 then, and whoever looked at it has seen what is no longer there.
    ['acknowledged_lost', 'follower_differs', 'page_differs', 'position_gap', 'version_gap'],
  ],
  [
    'the last events are gone as after a failover that lost them',
    (history) => {
      forgetReads(history)
      history.dump.entries = history.dump.entries.slice(0, entryAt(history, 13))
      history.dump.head = 12
    },
    ['acknowledged_lost'],
  ],
  [
    'the feed ends before its head',
    (history) => {
      history.dump.head = 17
    },
    ['position_gap'],
  ],
  [
    'what was refused for its version is stored',
    (history) => {
      const event = append(history, 5).appends[0]?.events[0]
      history.dump.entries.push({ ...eventAt(history, 8), ...(event as object), position: 16, version: 4 })
    },
    ['refused_stored'],
  ],
  [
    'an append that was given up is there in part',
    (history) => {
      const event = append(history, 7).appends[0]?.events[0]
      const like = { ...eventAt(history, 9), ...(event as object), stream_id: streamOf('d') }
      history.dump.entries.push({ ...like, position: 16, version: 1 })
    },
    ['batch_torn'],
  ],
  [
    'somebody writes between the events of a batch',
    (history) => {
      forgetReads(history)
      const [third, fourth] = [eventAt(history, 12), eventAt(history, 13)]
      const content = ({ id, type, data }: StoredEvent) => ({ id, type, data })
      const [before, after] = [content(third), content(fourth)]
      Object.assign(third, after)
      Object.assign(fourth, before)
      // Both are of one stream: now neither batch is in one piece.
      answerOf(history, 9).first_position = 12
      answerOf(history, 9).first_version = 2
      answerOf(history, 9).created_at = third.created_at
    },
    ['batch_torn'],
  ],
  [
    'an event is stored under the same id twice',
    (history) => void history.dump.entries.push(clone(eventAt(history, 1), { position: 16, version: 4 })),
    ['id_twice'],
  ],
  [
    'a retry stored the events once more under new ids',
    (history) =>
      void history.dump.entries.push(
        clone(eventAt(history, 1), { position: 16, version: 4, id: '00000000-0000-7000-8000-999999999999' }),
      ),
    ['unsent_stored'],
  ],
  [
    'the content of an event changed',
    (history) => {
      forgetReads(history)
      eventAt(history, 11).data = { n: 1e21 }
    },
    ['batch_torn', 'content_changed'],
  ],
  [
    'an event stands in another stream',
    (history) => {
      forgetReads(history)
      Object.assign(eventAt(history, 14), { stream_id: streamOf('c'), version: 2 })
    },
    ['acknowledged_lost', 'content_changed'],
  ],
  [
    'a position is left out',
    (history) => {
      forgetReads(history)
      for (const entry of history.dump.entries.slice(entryAt(history, 11))) {
        if (isForeign(entry)) entry.foreign = entry.foreign.map((at) => at + 1) as [number, number]
        else entry.position++
      }
      answerOf(history, 9).first_position++
      answerOf(history, 9).position++
    },
    ['position_gap'],
  ],
  [
    'two events come in the wrong order',
    (history) => {
      forgetReads(history)
      const { entries } = history.dump
      const at = entryAt(history, 1)
      entries.splice(at, 2, entries[at + 1] as StoredEvent, entries[at] as StoredEvent)
    },
    ['position_gap'],
  ],
  [
    'a version is left out',
    (history) => {
      forgetReads(history)
      eventAt(history, 13).version = 4
      eventAt(history, 14).version = 5
      Object.assign(answerOf(history, 9), { first_version: 4, version: 5 })
    },
    ['version_gap'],
  ],
  [
    'an append is stored although its stream was elsewhere',
    (history) => {
      for (const n of [3, 4]) for (const each of append(history, n).appends) each.expected_version = 2
    },
    ['expected_version_ignored'],
  ],
  [
    'an append is stored although a stream that it checked was elsewhere',
    (history) => {
      for (const each of append(history, 6).checks) each.expected_version = 2
    },
    ['expected_version_ignored'],
  ],
  [
    'an append is stored that needed the stream to be new',
    (history) => {
      for (const each of append(history, 9).appends) each.expected_version = 0
    },
    ['expected_version_ignored'],
  ],
  [
    'a conflict is told where there is none',
    (history) => {
      const { answer, appends } = append(history, 5)
      for (const each of appends) each.expected_version = 3
      if (answer.outcome === 'refused') for (const each of answer.conflicts ?? []) each.expected_version = 3
    },
    ['refused_without_reason'],
  ],
  [
    'a conflict tells a version that the stream did not have',
    (history) => {
      const { answer } = append(history, 5)
      if (answer.outcome === 'refused') for (const each of answer.conflicts ?? []) each.current_version = 4
    },
    ['refused_without_reason'],
  ],
  [
    'a conflict leaves out a condition that failed',
    (history) => append(history, 5).checks.push({ stream_id: streamOf('b'), expected_version: 2 }),
    ['refused_without_reason'],
  ],
  [
    'an id is refused as used that is not stored',
    (history) => {
      const { answer } = append(history, 10)
      if (answer.outcome === 'refused') answer.event_ids = ['00000000-0000-7000-8000-999999999999']
    },
    ['refused_without_reason'],
  ],
  [
    'an answer gives another position than the stored one',
    (history) => {
      answerOf(history, 0).first_position = 2
      answerOf(history, 0).position = 2
    },
    ['answer_wrong'],
  ],
  [
    'a replay gives another time than the first answer',
    (history) => {
      answerOf(history, 2).created_at = '2026-01-02T00:00:00.000000Z'
    },
    ['replay_differs'],
  ],
  [
    'the same append is answered as new twice',
    (history) => {
      answerOf(history, 2).replayed = false
    },
    ['replay_differs'],
  ],
  [
    'an append that began after another was acknowledged stands before it',
    (history) => {
      forgetReads(history)
      // 9 is at 13, and now it begins after everything; 0 was acknowledged last of all.
      append(history, 0).from_ms = append(history, 9).to_ms + 1
      append(history, 0).to_ms = append(history, 9).to_ms + 2
    },
    ['real_time_order'],
  ],
  [
    'a read does not see what was acknowledged before',
    (history) => {
      Object.assign(read(history, 11), { head: 13, up_to: 13, events: read(history, 11).events.slice(0, 13) })
    },
    ['stale_read'],
  ],
  ['a page leaves out an event', (history) => void read(history, 14).events.splice(1, 1), ['page_differs']],
  [
    'a page of the whole feed leaves out the event of somebody else',
    (history) => void read(history, 11).events.splice(4, 1),
    ['page_differs'],
  ],
  [
    'a page shows another content than is stored',
    (history) => Object.assign(read(history, 13).events[0] as object, { digest: 'another' }),
    ['page_differs'],
  ],
  [
    'a page ends too early and says that it does not',
    (history) => void read(history, 12).events.pop(),
    ['page_differs'],
  ],
  [
    'a page saw an event that is not there any more',
    (history) => {
      history.operations = history.operations.filter(({ kind }) => kind !== 'follow')
      unstore(history, 12)
      unstore(history, 11)
      Object.assign(answerOf(history, 9), { first_position: 11, position: 12, first_version: 1, version: 2 })
      append(history, 9).appends.forEach((each) => {
        each.expected_version = 'any'
      })
    },
    ['page_differs'],
  ],
  ['a follower misses an event', (history) => void follow(history, 15).events.splice(5, 1), ['follower_differs']],
  [
    'a follower gets an event twice',
    (history) => {
      const { events } = follow(history, 16)
      events.splice(5, 0, events[4] as (typeof events)[0])
    },
    ['follower_differs'],
  ],
  [
    'a follower gets two events in the wrong order',
    (history) => void follow(history, 17).events.reverse(),
    ['follower_differs'],
  ],
  [
    'a follower gets what its filter excludes',
    (history) => void follow(history, 18).events.unshift(...follow(history, 15).events.slice(0, 1)),
    ['follower_differs'],
  ],
  [
    'a follower never arrives',
    (history) => Object.assign(follow(history, 15), { has_caught_up: false, up_to: 0, events: [] }),
    ['follower_behind'],
  ],
]

t.test('every mutant is caught, under the right name', (t) => {
  for (const [what, break_, rules] of MUTANTS) {
    const history = correctHistory()
    break_(history)
    t.same(rulesOf(history), rules.toSorted(), what)
  }
  t.end()
})

t.test('every rule has a mutant', (t) => {
  const broken = new Set(MUTANTS.flatMap(([, , rules]) => rules))
  t.same(
    Object.keys(RULES).filter((rule) => !broken.has(rule as Rule)),
    [],
  )
  t.end()
})

t.test('a finding names the operations that show it, the shortest first', (t) => {
  const history = correctHistory()
  answerOf(history, 2).created_at = '2026-01-02T00:00:00.000000Z'
  answerOf(history, 0).position = 2
  const [first, second] = checkHistory(history).findings
  t.match(first, { rule: 'answer_wrong', operations: [0], positions: [1] })
  t.match(second, { rule: 'replay_differs', operations: [1, 2] })
  t.end()
})

const fate = fc.constantFrom('answered', 'answered', 'answered', 'reply_lost', 'request_lost', 'late')
const spread = fc.record({ before: fc.nat(30), after: fc.nat(30) })
const expected = fc.oneof(fc.constantFrom('any', 'exists'), fc.nat(4))
const streamName = fc.constantFrom('a', 'b', 'c')
const scope: fc.Arbitrary<Scope> = fc.oneof(
  fc.constant({}),
  fc.constant(OWN),
  fc.constant({ ...OWN, types: ['Odd'] } as Scope),
  streamName.map((name) => ({ stream_id: streamOf(name) })),
)
const step = fc.oneof(
  fc.record({
    do: fc.constant('append'),
    stream: streamName,
    events: fc.integer({ min: 1, max: 3 }),
    expected,
    fate,
    spread,
  }),
  fc.record({ do: fc.constant('both'), expected, check: expected, fate, spread }),
  fc.record({ do: fc.constant('retry'), which: fc.nat(30), fate, spread }),
  fc.record({ do: fc.constant('reuse'), which: fc.nat(30), spread }),
  fc.record({ do: fc.constant('foreign'), events: fc.integer({ min: 1, max: 3 }) }),
  fc.record({
    do: fc.constant('read'),
    scope,
    direction: fc.constantFrom('forward', 'backward'),
    start: fc.nat(40),
    limit: fc.integer({ min: 1, max: 10 }),
    spread,
  }),
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

function play(steps: Step[]): History {
  const store = new ModelStore()
  const sent: AppendOperation[] = []
  for (const each of steps) {
    if (each.do === 'append') {
      sent.push(store.append([store.to(each.stream, each.events, each.expected as 'any')], [], each.fate, each.spread))
    } else if (each.do === 'both') {
      const appends = [store.to('a', 1, each.expected as 'any'), store.to('b', 2)]
      const checks = [{ stream_id: streamOf('c'), expected_version: each.check as 'any' }]
      sent.push(store.append(appends, checks, each.fate, each.spread))
    } else if (each.do === 'retry') {
      const earlier = sent[each.which % sent.length]
      if (earlier !== undefined) store.retry(earlier, each.fate, each.spread)
    } else if (each.do === 'reuse') {
      const [reused] = sent[each.which % sent.length]?.appends ?? []
      if (reused !== undefined) {
        const more = store.to('a', 1)
        store.append([{ ...more, events: [...reused.events, ...more.events] }], [], 'answered', each.spread)
      }
    } else if (each.do === 'foreign') {
      store.foreign(each.events)
    } else {
      store.read(each.scope, each.direction as 'forward', each.start, each.limit, each.spread)
    }
  }
  store.follow(OWN, 0)
  store.follow({}, 2)
  return store.history()
}

t.test('whatever clients do to a correct store, nothing is found', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const { findings } = checkHistory(play(steps as Step[]))
      if (findings.length > 0) throw new Error(JSON.stringify(findings))
    }),
    { numRuns: Number(process.env['PROOF_RUNS'] ?? 2_000) },
  )
  t.end()
})
