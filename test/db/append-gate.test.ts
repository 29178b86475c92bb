import t from 'tap'
import { AppendGate, type GateLimits } from '../../src/db/append-gate.ts'
import type { AppendRequest, PreparedEvent } from '../../src/db/event-log.ts'
import { AppError } from '../../src/errors.ts'

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
function gateByHand(overrides: Partial<GateLimits> = {}) {
  const batches: { requests: AppendRequest[]; answer(): void; fail(error: unknown): void }[] = []
  const prepared: AppendRequest[][] = []
  const seen = { committed: [] as number[], overloaded: 0, rests: 0, prepared }
  const gate = new AppendGate<string>(
    {
      send: (requests) =>
        new Promise((resolve, reject) => {
          batches.push({ requests, answer: () => resolve(requests.map((_, i) => `answer ${i}`)), fail: reject })
        }),
      prepare: (requests) => prepared.push(requests),
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

const settle = () => new Promise((resolve) => setImmediate(resolve))

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
  const { gate, batches, seen } = gateByHand({ maxQueuedEvents: 5_000, maxQueuedBytes: 1_000_000, queueTimeoutMs: 400 })
  const large = () => request(...Array.from({ length: 500 }, () => event()))
  const first = gate.append(request())
  const waiting = [gate.append(large()), gate.append(large())]
  const inTime = gate.append(request())
  await new Promise((resolve) => setTimeout(resolve, 120))
  t.equal(await codeOf(gate.append(request())), 'overloaded')
  t.equal(seen.overloaded, 1)
  for (let i = 0; i < 3; i++) {
    batches[i]?.answer()
    await settle()
  }
  await Promise.all([first, ...waiting, inTime])

  const few = gateByHand({ queueTimeoutMs: 400 })
  const sent = few.gate.append(request())
  const next = few.gate.append(request())
  await new Promise((resolve) => setTimeout(resolve, 120))
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

t.test(
  'where a full batch waits it is prepared while another is under way, and it still counts as waiting',
  async (t) => {
    const many = { maxQueuedEvents: 3_000, maxQueuedBytes: 1_000_000 }
    const large = (id?: string) => request(event(id), ...Array.from({ length: 599 }, () => event()))
    const { gate, batches, seen } = gateByHand(many)
    const all = [gate.append(request()), gate.append(large('a')), gate.append(request())]
    await settle()
    all.push(gate.append(large('b')), gate.append(request(event('c'))))
    batches[0]?.answer()
    await settle()
    await settle()
    t.equal(batches.length, 2)
    t.equal(seen.prepared.length, 0, 'what waits is less than a batch')
    all.push(gate.append(large('d')))
    batches[1]?.answer()
    await settle()
    await settle()
    t.equal(batches.length, 3)
    t.same(seen.prepared.length, 0)
    batches[2]?.answer()
    await settle()
    batches[3]?.answer()
    await Promise.all(all)
    t.equal(gate.queuedEvents, 0)

    const first = gate.append(request())
    const waiting = [gate.append(large()), gate.append(large()), gate.append(large()), gate.append(large())]
    batches[4]?.answer()
    await first
    await settle()
    await settle()
    t.equal(seen.prepared.length, 1)
    t.equal(gate.queuedEvents, 1_800, 'three of the four')
    t.equal(await codeOf(gate.append(request(...Array.from({ length: 1_201 }, () => event())))), 'overloaded')
    batches[5]?.answer()
    await settle()
    t.equal(batches[6]?.requests, seen.prepared[0], 'the very same')
    for (const i of [6, 7, 8]) {
      batches[i]?.answer()
      await settle()
    }
    await Promise.all(waiting)
    t.equal(gate.queuedEvents, 0)
  },
)

t.test('what is prepared is refused with the queue, and when it has waited too long', async (t) => {
  const many = { maxQueuedEvents: 5_000, maxQueuedBytes: 1_000_000 }
  const large = () => request(...Array.from({ length: 600 }, () => event()))
  const behind = async (overrides: Partial<GateLimits>) => {
    const { gate, batches, seen } = gateByHand({ ...many, ...overrides })
    const first = gate.append(request())
    const codes = [gate.append(large()), gate.append(large()), gate.append(large())].map(codeOf)
    batches[0]?.answer()
    await first
    await settle()
    await settle()
    t.equal(seen.prepared.length, 1)
    return { gate, batches, codes }
  }
  const away = await behind({})
  away.batches[1]?.fail(new AppError('database_unavailable', ''))
  t.same(await Promise.all(away.codes), ['database_unavailable', 'database_unavailable', 'database_unavailable'])
  t.equal(away.gate.queuedEvents, 0)

  const slow = await behind({ queueTimeoutMs: 50 })
  t.same(await Promise.all(slow.codes.slice(1)), ['overloaded', 'overloaded'])
  t.equal(slow.gate.queuedEvents, 0)
  slow.batches[1]?.answer()
  t.equal(await slow.codes[0], 'answered')
  await settle()
  t.equal(slow.batches.length, 2, 'it is not sent any more')
})
