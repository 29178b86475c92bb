import fc from 'fast-check'
import t from 'tap'
import {
  comeBack,
  exhausted,
  finish,
  handOut,
  type PartitionState,
  without,
} from '../../src/consumers/partition-state.ts'

const fresh = (checkpoint = 0): PartitionState => ({ partition: 0, checkpoint, handedOut: [], inFlight: 0, reaches: 0 })

t.test('acknowledging moves the checkpoint up to the first event that is not done', async (t) => {
  const { state } = handOut(fresh(), [3, 5, 9], 20, 5)
  t.equal(state.checkpoint, 2, 'nothing before the first event is a concern')
  const part = finish(state, ({ position }) => position <= 3)
  t.match(part, { positions: [3], state: { checkpoint: 4, inFlight: 2 } })
  t.match(
    finish(part.state, () => true),
    { positions: [5, 9], state: { checkpoint: 20, inFlight: 0, handedOut: [] } },
  )
  t.equal(handOut(fresh(), [], 20, 5).state.checkpoint, 20, 'and goes on where nothing was found')
})

t.test('an event that was handed out twice is handed out alone, and those behind it are remembered', async (t) => {
  let state = fresh()
  const sizes: number[] = []
  for (let i = 0; i < 4; i++) {
    const change = handOut(state, [1, 2, 3], 3, 5)
    sizes.push(change.positions.length)
    state = comeBack(change.state)
  }
  t.same(sizes, [3, 3, 1, 1])
  t.same(state.handedOut, [
    { position: 1, attempts: 4 },
    { position: 2, attempts: 2 },
    { position: 3, attempts: 2 },
  ])
  t.same(exhausted(state, 4), [{ position: 1, attempts: 4 }])
  t.equal(handOut(fresh(), [1, 2], 2, 1).positions.length, 1, 'with one attempt always alone')
})

t.test('what lies behind a failed event does not count as tried', async (t) => {
  const { state } = handOut(fresh(), [1, 2, 3], 3, 5)
  t.same(comeBack(state, 2).handedOut, [
    { position: 1, attempts: 1 },
    { position: 2, attempts: 1 },
  ])
})

t.test('parked events that came again do not hold the checkpoint back', async (t) => {
  const { state } = handOut(fresh(10), [4, 12], 20, 5)
  t.equal(state.checkpoint, 11)
  t.match(finish(state, ({ position }) => position === 12).state, { checkpoint: 20, inFlight: 1 })
})

// One partition of a feed of a hundred positions, and whatever can happen to it.
const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('hand_out' as const),
      limit: fc.nat({ max: 8 }),
      window: fc.integer({ min: 1, max: 40 }),
    }),
    fc.record({
      kind: fc.constantFrom('finish' as const, 'come_back' as const, 'park' as const),
      nth: fc.nat({ max: 8 }),
    }),
    fc.record({ kind: fc.constant('replay' as const) }),
  ),
  { maxLength: 60 },
)

t.test('whatever happens, the checkpoint passes nothing that is not done, and order is kept', async () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 100 }), { minLength: 1 }), steps, (own, happenings) => {
      const feed = own.toSorted((a, b) => a - b)
      const done = new Set<number>()
      const parked = new Map<number, boolean>()
      let state = fresh()
      for (const step of happenings) {
        const before = state.checkpoint
        const out = state.handedOut.slice(0, state.inFlight)
        if (step.kind === 'hand_out' && state.inFlight === 0) {
          const upTo = Math.min(100, state.checkpoint + step.window)
          for (const { position } of exhausted(state, 4)) parked.set(position, false)
          state = without(state, exhausted(state, 4))
          const matching = feed.filter((position) =>
            parked.has(position)
              ? parked.get(position) && position <= upTo
              : position > state.checkpoint && position <= upTo,
          )
          const found = matching.slice(0, step.limit + 1)
          const reaches = found.length <= step.limit ? upTo : (found.at(-1) as number)
          const change = handOut(state, found, reaches, 4)
          state = change.state
          // Nothing is passed over: the lowest of what is to be done is what is handed out.
          if (change.positions.some((position, i) => position !== matching[i])) return false
        } else if (step.kind === 'finish') {
          const last = out[step.nth]?.position ?? 0
          const change = finish(state, ({ position }) => position <= last)
          for (const position of change.positions) {
            done.add(position)
            parked.delete(position)
          }
          state = change.state
        } else if (step.kind === 'park') {
          const failed = out[step.nth]
          if (failed !== undefined) parked.set(failed.position, false)
          state = finish(state, ({ position }) => position === failed?.position).state
        } else if (step.kind === 'come_back') {
          state = comeBack(state, out[step.nth]?.position)
        } else if (step.kind === 'replay') {
          for (const position of parked.keys()) parked.set(position, true)
        }
        if (state.checkpoint < before || state.checkpoint > 100) return false
        const passed = feed.filter((position) => position <= state.checkpoint)
        if (!passed.every((position) => done.has(position) || parked.has(position))) return false
        const positions = state.handedOut.map(({ position }) => position)
        if (positions.some((position, i) => i > 0 && position <= (positions[i - 1] as number))) return false
      }
      return true
    }),
    { numRuns: 2_000 },
  )
})
