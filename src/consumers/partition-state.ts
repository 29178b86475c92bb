// What a consumer has done of one partition of the streams, and how that changes. Nothing here knows a database: a
// change is a function from one state to the next, made while the partition's row is locked.

/** An event that was handed out, and how often. */
export interface HandedOut {
  position: number
  attempts: number
}

export interface PartitionState {
  partition: number
  /** Everything up to here is done with. */
  checkpoint: number
  /** In order of position: first those that a member has now, then those that came back. */
  handedOut: HandedOut[]
  /** How many of them a member has now. */
  inFlight: number
  /** How far the feed had been looked at when they were handed out. */
  reaches: number
}

/** A change, and the positions it is about. */
export interface Change {
  state: PartitionState
  positions: number[]
}

/** From this attempt on an event is handed out alone: the one that fails must not take its neighbours along. */
const ALONE_FROM_ATTEMPT = 3

/**
 * Those in flight for which `isDone` are done with. The checkpoint goes up to the first one that is not; when all are,
 * as far as the feed had been looked at. Events that were parked and came again lie before it and don't hold it back.
 */
export function finish(state: PartitionState, isDone: (event: HandedOut) => boolean): Change {
  if (state.inFlight === 0) return { state, positions: [] }
  const out = state.handedOut.slice(0, state.inFlight)
  const left = out.filter((event) => !isDone(event))
  const next = left.find(({ position }) => position > state.checkpoint)
  return {
    state: {
      ...state,
      checkpoint: Math.max(state.checkpoint, next === undefined ? state.reaches : next.position - 1),
      handedOut: [...left, ...state.handedOut.slice(state.inFlight)],
      inFlight: left.length,
    },
    positions: out.filter(isDone).map(({ position }) => position),
  }
}

/**
 * What is in flight comes back. With `failed`, those behind it were not tried: their attempt is not counted.
 */
export function comeBack(state: PartitionState, failed?: number): PartitionState {
  const handedOut = state.handedOut.map((event, i) =>
    failed !== undefined && i < state.inFlight && event.position > failed
      ? { ...event, attempts: event.attempts - 1 }
      : event,
  )
  return { ...state, handedOut: handedOut.filter(({ attempts }) => attempts > 0), inFlight: 0 }
}

/** Without the events that are parked. */
export const without = (state: PartitionState, parked: HandedOut[]): PartitionState => ({
  ...state,
  handedOut: state.handedOut.filter((event) => !parked.includes(event)),
})

/** Those that came back as often as is allowed; they are to be parked and not to be handed out again. */
export const exhausted = (state: PartitionState, maxAttempts: number): HandedOut[] =>
  state.handedOut.filter(({ attempts }) => attempts >= maxAttempts)

/**
 * Hands out events that were found for this partition, in order of position; `reaches` is how far the feed was looked
 * at. Positions of the answer are those that are handed out.
 */
export function handOut(state: PartitionState, found: number[], reaches: number, maxAttempts: number): Change {
  const before = new Map(state.handedOut.map(({ position, attempts }) => [position, attempts]))
  const isAlone = ({ attempts }: HandedOut) => attempts >= Math.min(ALONE_FROM_ATTEMPT, maxAttempts)
  const tries = found.map((position) => ({ position, attempts: (before.get(position) ?? 0) + 1 }))
  const first = tries[0]
  let end = tries.length
  if (first !== undefined && isAlone(first)) end = 1
  else if (tries.some(isAlone)) end = tries.findIndex(isAlone)
  const out = tries.slice(0, end)
  const cut = tries[end]
  const known = new Set(out.map(({ position }) => position))
  const wasFound = new Set(found)
  // What came back and was not found is no concern of this consumer any more, unless it was not looked for yet.
  const remembered = state.handedOut.filter(
    ({ position }) => !known.has(position) && (wasFound.has(position) || position > reaches),
  )
  const reached = Math.max(state.checkpoint, cut === undefined ? reaches : Math.min(reaches, cut.position - 1))
  const next = out.find(({ position }) => position > state.checkpoint)
  return {
    state: {
      partition: state.partition,
      checkpoint: next === undefined ? reached : next.position - 1,
      handedOut: [...out, ...remembered],
      inFlight: out.length,
      reaches: reached,
    },
    positions: out.map(({ position }) => position),
  }
}
