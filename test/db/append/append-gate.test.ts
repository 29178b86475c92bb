import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { AppendGate, type GateLimits } from '../../../src/db/append/append-gate.ts'
import type { AppendRequest, PreparedEvent } from '../../../src/db/event-log.ts'
import { AppError } from '../../../src/errors.ts'
import { until } from '../../support/service.ts'

const limits: GateLimits = {
  maxQueuedEvents: 100,
  maxQueuedBytes: 100_000,
  queueTimeoutMs: 2_000,
  requestTimeoutMs: 5_000,
}

let ids = 0
const event = (id?: string): PreparedEvent => ({
  id: id ?? String(++ids),
  hasClientId: id !== undefined,
  type: 'T',
  data: Buffer.from('null'),
  isJson: true,
  contentType: null,
  metadata: null,
})
const request = (...events: PreparedEvent[]): AppendRequest => ({
  appends: [{ streamId: 's', expectedVersion: 'any', events: events.length === 0 ? [event()] : events }],
  checks: [],
})

/** A gate whose batches are answered by hand. */
function gateByHand(overrides: Partial<GateLimits> = {}, canFollow = () => false, isShared = () => false) {
  const batches: { requests: AppendRequest[]; answer(): void; fail(error: unknown): void }[] = []
  const seen = { committed: [] as number[], overloaded: 0, rests: 0 }
  const gate = new AppendGate<string>(
    {
      send: (requests) =>
        new Promise((resolve, reject) => {
          batches.push({ requests, answer: () => resolve(requests.map((_, i) => `answer ${i}`)), fail: reject })
        }),
      get canFollow() {
        return canFollow()
      },
      get isShared() {
        return isShared()
      },
      rest: () => seen.rests++,
    },
    { ...limits, ...overrides },
    { batchCommitted: (events) => seen.committed.push(events), overloaded: () => seen.overloaded++ },
  )
  return { gate, batches, seen }
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error: AppError) => error.code,
  )

// The gate's own timer does not keep a process alive.
const alive = setInterval(() => {}, 1_000)
t.teardown(() => clearInterval(alive))

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Until the gate has sent as many batches, where a timer decides when. */
const sent = (batches: unknown[], count: number) => until(() => batches.length >= count)

/** Until what can be sent is sent: a batch in the first turn of the event loop, one behind it in the next. */
async function settle() {
  await turn()
  await turn()
}

t.test('what arrives while a batch is in flight goes together into the next one', async (t) => {
  const { gate, batches, seen } = gateByHand()
  const first = gate.append(request())
  await settle()
  const others = [gate.append(request()), gate.append(request(event(), event())), gate.append(request())]
  await settle()
  t.equal(batches.length, 1, 'one batch at a time')
  t.equal(gate.queuedEvents, 4)
  batches[0]?.answer()
  t.equal(await first, 'answer 0')
  await settle()
  t.equal(batches[1]?.requests.length, 3)
  batches[1]?.answer()
  t.same(await Promise.all(others), ['answer 0', 'answer 1', 'answer 2'], 'each gets its own answer')
  t.same(seen.committed, [1, 4])
})

t.test('a request whose client id is already in the batch waits for the next one', async (t) => {
  const { gate, batches } = gateByHand()
  void gate.append(request())
  await settle()
  const same = [gate.append(request(event('a'))), gate.append(request(event('a'))), gate.append(request(event('b')))]
  batches[0]?.answer()
  await settle()
  t.same(
    batches[1]?.requests.map(({ appends }) => appends[0]?.events[0]?.id),
    ['a', 'b'],
  )
  batches[1]?.answer()
  await settle()
  t.equal(batches[2]?.requests[0]?.appends[0]?.events[0]?.id, 'a')
  batches[2]?.answer()
  await Promise.all(same)
})

t.test('a request that may itself be the fault does not take its neighbours with it', async (t) => {
  const { gate, batches } = gateByHand()
  const first = gate.append(request())
  await settle()
  const answers = [gate.append(request()), gate.append(request()), gate.append(request())].map(codeOf)
  batches[0]?.answer()
  await first
  await settle()
  batches[1]?.fail(new AppError('internal', 'refused'))
  for (const fails of [false, true, false]) {
    await settle()
    const alone = batches.at(-1)
    t.equal(alone?.requests.length, 1)
    if (fails) alone?.fail(new AppError('internal', 'refused'))
    else alone?.answer()
  }
  t.same(await Promise.all(answers), ['answered', 'internal', 'answered'])
})

t.test('what concerns the database fails the whole batch at once', async (t) => {
  const { gate, batches } = gateByHand()
  const all = [gate.append(request())]
  await settle()
  all.push(gate.append(request()), gate.append(request()))
  batches[0]?.answer()
  await settle()
  batches[1]?.fail(new AppError('database_full', 'full'))
  t.same(await Promise.all(all.map(codeOf)), ['answered', 'database_full', 'database_full'])
  t.equal(batches.length, 2)
})

t.test('the queue is bounded in events and in bytes', async (t) => {
  const { gate, batches, seen } = gateByHand({ maxQueuedEvents: 3, maxQueuedBytes: 1_000 })
  void gate.append(request())
  await settle()
  const waiting = [gate.append(request()), gate.append(request(event(), event()))]
  t.equal(await codeOf(gate.append(request())), 'overloaded')
  batches[0]?.answer()
  await settle()
  const large = { ...event(), data: Buffer.alloc(950) }
  t.equal(await codeOf(gate.append(request(large))), 'overloaded')
  t.equal(seen.overloaded, 2)
  batches[1]?.answer()
  await Promise.all(waiting)
  const after = gate.append(request())
  await settle()
  batches[2]?.answer()
  t.equal(await codeOf(after), 'answered', 'it recovers')
})

t.test('who waits too long to be sent is refused and never sent', async (t) => {
  const { gate, batches } = gateByHand({ queueTimeoutMs: 50 })
  const first = gate.append(request())
  await settle()
  const late = codeOf(gate.append(request(event('late'))))
  t.equal(await late, 'overloaded')
  batches[0]?.answer()
  await first
  await settle()
  t.equal(batches.length, 1)
})

t.test('who was sent and hears nothing is told that the outcome is unknown', async (t) => {
  const { gate, batches } = gateByHand({ requestTimeoutMs: 50 })
  const error = await gate.append(request()).catch((error: AppError) => error)
  t.match(error, { code: 'commit_outcome_unknown', status: 503 })
  batches[0]?.answer()
})

t.test('closing answers what waits and refuses what comes', async (t) => {
  const { gate, batches } = gateByHand()
  const first = gate.append(request())
  await settle()
  const second = gate.append(request())
  const closed = gate.close()
  t.equal(await codeOf(gate.append(request())), 'shutting_down')
  batches[0]?.answer()
  await first
  await settle()
  batches[1]?.answer()
  await second
  await closed
})

t.test('those behind a batch that waited in vain are refused with it, others are not', async (t) => {
  for (const [code, isRefused] of [
    ['busy', true],
    ['pool_exhausted', true],
    ['database_unavailable', true],
    ['database_full', false],
    ['internal', false],
  ] as const) {
    const { gate, batches } = gateByHand()
    const first = gate.append(request(event('a')))
    await settle()
    const second = gate.append(request(event('b')))
    first.catch(() => {})
    second.catch(() => {})
    batches[0]?.fail(new AppError(code, ''))
    await t.rejects(first, { code })
    if (isRefused) await t.rejects(second, { code })
    else {
      batches[1]?.answer()
      t.equal(await second, 'answer 0')
    }
    t.equal(gate.queuedEvents, 0)
  }
})

t.test('no more is let in where more than a batch waits and the first of it has waited for long', async (t) => {
  const { gate, batches, seen } = gateByHand({
    maxQueuedEvents: 5_000,
    maxQueuedBytes: 1_000_000,
    queueTimeoutMs: 2_000,
  })
  const large = () => request(...Array.from({ length: 500 }, () => event()))
  const first = gate.append(request())
  await settle()
  const waiting = [gate.append(large()), gate.append(large())]
  const inTime = gate.append(request())
  await sleep(600)
  t.equal(await codeOf(gate.append(request())), 'overloaded')
  t.equal(seen.overloaded, 1)
  for (let i = 0; i < 3; i++) {
    batches[i]?.answer()
    await settle()
  }
  await Promise.all([first, ...waiting, inTime])

  const few = gateByHand({ queueTimeoutMs: 2_000 })
  const sent = few.gate.append(request())
  await settle()
  const next = few.gate.append(request())
  await sleep(600)
  const another = few.gate.append(request())
  for (let i = 0; i < 2; i++) {
    few.batches[i]?.answer()
    await settle()
  }
  t.same(
    await Promise.all([sent, next, another]),
    ['answer 0', 'answer 0', 'answer 1'],
    'a short queue may stand still',
  )
})

const large = () => request(...Array.from({ length: 600 }, () => event()))
const roomy = { maxQueuedEvents: 10_000, maxQueuedBytes: 10_000_000 }

t.test('a full batch is sent behind the one under way, and no third one', async (t) => {
  let isConnected = false
  const { gate, batches } = gateByHand(roomy, () => isConnected)
  const all = [gate.append(request())]
  await settle()
  all.push(...Array.from({ length: 4 }, () => gate.append(large())))
  await settle()
  t.equal(batches.length, 1)
  isConnected = true
  all.push(...Array.from({ length: 6 }, () => gate.append(large())))
  await settle()
  t.same(
    batches.map(({ requests }) => requests.length),
    [1, 4],
  )
  t.equal(gate.queuedEvents, 3_600, 'what was sent does not wait any more')
  batches[0]?.answer()
  t.equal(await all[0], 'answer 0')
  await settle()
  t.equal(batches.length, 3, 'the next full one takes its place')
  batches[1]?.answer()
  batches[2]?.answer()
  await settle()
  batches[3]?.answer()
  await Promise.all(all)
  t.equal(gate.queuedEvents, 0)
})

t.test('several at once leave together, and a second batch of them behind the first', async (t) => {
  let isConnected = false
  const { gate, batches } = gateByHand(roomy, () => isConnected)
  const all = Array.from({ length: 9 }, () => gate.append(large()))
  await turn()
  t.same(
    batches.map(({ requests }) => requests.length),
    [4],
  )
  isConnected = true
  await turn()
  t.equal(batches.length, 2, 'as soon as the first has its connection')
  batches[0]?.answer()
  batches[1]?.answer()
  await sent(batches, 3)
  batches[2]?.answer()
  await Promise.all(all)
})

t.test('what arrives in one turn of the event loop leaves together', async (t) => {
  const { gate, batches } = gateByHand()
  const all = [gate.append(request())]
  await Promise.resolve()
  all.push(gate.append(request()))
  await settle()
  t.equal(batches[0]?.requests.length, 2)
  batches[0]?.answer()
  await Promise.all(all)
})

/** Stops the clock of the gate until the end of the test; what it answers puts it forward. */
function stopClock(t: Test): (ms: number) => void {
  const { now } = performance
  let stopped = performance.now()
  performance.now = () => stopped
  t.teardown(() => {
    performance.now = now
  })
  return (ms) => {
    stopped += ms
  }
}

/** A gate that `clients` have asked again and again, all answered just now. A batch takes 100 ms, as far as it knows. */
async function gateAfter(
  clients: number,
  wait: (ms: number) => void,
  canFollow = () => false,
  isShared = () => false,
  overrides: Partial<GateLimits> = {},
) {
  const made = gateByHand(overrides, canFollow, isShared)
  for (let round = 0; round < 50; round++) {
    let open = clients
    const all = Array.from({ length: clients }, () => made.gate.append(request()).then(() => open--))
    while (open > 0) {
      await settle()
      if (made.batches.length === 0) await sleep(2)
      wait(made.batches.length === 0 ? 12 : 100)
      answerAll(made.batches)
      await settle()
    }
    await Promise.all(all)
  }
  return made
}

/** Answers whatever is sent until all are answered, those that are held back too. */
async function finish(
  all: Promise<unknown>[],
  batches: { answer(): void }[],
  wait: (ms: number) => void,
): Promise<void> {
  let isOver = false
  const over = Promise.all(all).finally(() => {
    isOver = true
  })
  while (!isOver) {
    answerAll(batches)
    wait(12)
    await sleep(2)
  }
  await over
}

function answerAll(batches: { answer(): void }[]): void {
  for (const { answer } of batches.splice(0)) answer()
}

const sizes = (batches: { requests: AppendRequest[] }[]) => batches.map(({ requests }) => requests.length)

t.test('after an answer the next batch waits for half of those at work, for a moment', async (t) => {
  const wait = stopClock(t)
  const { gate, batches } = await gateAfter(10, wait)
  const all = [gate.append(request()), gate.append(request())]
  await settle()
  t.same(sizes(batches), [])
  all.push(gate.append(request()), gate.append(request()), gate.append(request()))
  await settle()
  t.equal(batches.length, 1)
  await finish(all, batches, wait)

  const another = await gateAfter(10, wait)
  const alone = another.gate.append(request())
  await settle()
  t.same(sizes(another.batches), [])
  wait(12)
  await sent(another.batches, 1)
  t.same(sizes(another.batches), [1], 'one alone leaves soon')
  answerAll(another.batches)
  await alone

  const lone = await gateAfter(1, wait)
  const next = lone.gate.append(request())
  await settle()
  t.same(sizes(lone.batches), [1], 'a lone client waits for nobody')
  answerAll(lone.batches)
  await next
})

t.test('those at work leave in two halves, the second one behind the first', async (t) => {
  const wait = stopClock(t)
  const { gate, batches } = await gateAfter(20, wait, () => true)
  const all = Array.from({ length: 20 }, () => gate.append(request()))
  await settle()
  const [first = 0, second = 0, ...others] = sizes(batches)
  t.ok(first >= 6 && first <= 10 && second >= 6 && second <= 10, `${first} and ${second} of 20`)
  t.same(others, [], 'and no third one')
  await finish(all, batches, wait)
})

t.test('fewer than half do not follow, and many more than usual leave together', async (t) => {
  const wait = stopClock(t)
  const { gate, batches } = await gateAfter(4, wait, () => true)
  const all = Array.from({ length: 20 }, () => gate.append(request()))
  await settle()
  t.same(sizes(batches), [20])
  all.push(gate.append(request()))
  await settle()
  t.equal(batches.length, 1)
  all.push(gate.append(request()))
  await settle()
  t.same(sizes(batches), [20, 2])
  await finish(all, batches, wait)
})

t.test('where thousands are at work some hundred are enough', async (t) => {
  const wait = stopClock(t)
  const { gate, batches } = await gateAfter(2_000, wait, () => true, undefined, roomy)
  const all = Array.from({ length: 249 }, () => gate.append(request()))
  await settle()
  t.same(sizes(batches), [], 'less than half, so they wait')
  all.push(gate.append(request()))
  await settle()
  t.same(sizes(batches), [250])
  all.push(...Array.from({ length: 250 }, () => gate.append(request())))
  await settle()
  t.same(sizes(batches), [250, 250])
  await finish(all, batches, wait)
})

t.test('none follows where it would have to wait for another connection', async (t) => {
  const wait = stopClock(t)
  const { gate, batches } = await gateAfter(4, wait, () => false)
  const all = Array.from({ length: 20 }, () => gate.append(request()))
  await settle()
  all.push(gate.append(request()), gate.append(request()))
  await settle()
  t.same(sizes(batches), [20])
  await finish(all, batches, wait)
})

t.test('a batch that failed tells nothing of how long the next one takes', async (t) => {
  const wait = stopClock(t)
  const { gate, batches } = await gateAfter(1, wait)
  const failing = Array.from({ length: 10 }, () => codeOf(gate.append(request())))
  await settle()
  wait(1_000)
  batches[0]?.fail(new AppError('database_full', ''))
  await Promise.all(failing)
  const next = gate.append(request())
  await settle()
  t.equal(batches.length, 2, 'and nobody is waited for')
  batches[1]?.answer()
  await next
})

t.test('what fills a batch is not held back', async (t) => {
  const wait = stopClock(t)
  const { gate, batches } = await gateAfter(10, wait, undefined, undefined, { maxQueuedBytes: 10_000_000 })
  const all = [gate.append(request({ ...event(), data: Buffer.alloc(2_500_000) }))]
  await settle()
  t.equal(batches.length, 0)
  all.push(gate.append(request({ ...event(), data: Buffer.alloc(2_500_000) })))
  await settle()
  t.equal(batches.length, 1)
  await finish(all, batches, wait)
})

t.test('who is held back is answered before the gate closes', async (t) => {
  const wait = stopClock(t)
  const { gate, batches } = await gateAfter(10, wait)
  const held = gate.append(request())
  await settle()
  let isClosed = false
  const closed = gate.close().then(() => {
    isClosed = true
  })
  wait(12)
  await sent(batches, 1)
  t.equal(batches.length, 1)
  t.equal(isClosed, false)
  batches[0]?.answer()
  t.equal(await held, 'answer 0')
  await closed
})

t.test('where another process appends too there is one batch at a time, of all that wait', async (t) => {
  const wait = stopClock(t)
  let isShared = true
  const { gate, batches } = await gateAfter(
    10,
    wait,
    () => true,
    () => isShared,
  )
  const all = Array.from({ length: 8 }, () => gate.append(request()))
  await settle()
  t.same(sizes(batches), [], 'more than half are waited for')
  all.push(gate.append(request()))
  await settle()
  t.same(sizes(batches), [9])
  all.push(...Array.from({ length: 9 }, () => gate.append(request())))
  await settle()
  t.equal(batches.length, 1, 'no second one')
  isShared = false
  all.push(gate.append(request()))
  await settle()
  t.equal(batches.length, 2)
  await finish(all, batches, wait)
})

t.test('a failure of the one ahead concerns who waits, not who was sent', async (t) => {
  const { gate, batches } = gateByHand(roomy, () => true)
  const codes = Array.from({ length: 9 }, () => codeOf(gate.append(large())))
  await settle()
  t.equal(batches.length, 2)
  batches[0]?.fail(new AppError('database_unavailable', ''))
  await settle()
  t.equal(gate.queuedEvents, 0)
  batches[1]?.answer()
  t.same(await Promise.all(codes), [
    ...Array(4).fill('database_unavailable'),
    ...Array(4).fill('answered'),
    'database_unavailable',
  ])
})

t.test('the end comes when all are answered', async (t) => {
  const { gate, batches, seen } = gateByHand(roomy, () => true)
  const all = Array.from({ length: 9 }, () => gate.append(large()))
  await settle()
  t.equal(batches.length, 2)
  let isClosed = false
  const closed = gate.close().then(() => {
    isClosed = true
  })
  for (const i of [1, 0, 2]) {
    await sleep(50)
    await sent(batches, i + 1)
    t.equal(isClosed, false)
    batches[i]?.answer()
  }
  await closed
  await Promise.all(all)
  t.equal(seen.rests, 1)
})
