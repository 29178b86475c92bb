// Appends of which each holds or fails by itself: those that failed in passing are sent again, alone.

import type { AppendResults, MultiAppend, Problem } from './contract.ts'
import { AnnalsError } from './errors.ts'
import { pauseMs, sleep } from './retry.ts'
import type { CallOptions, Transport } from './transport.ts'

type Result = AppendResults['results'][number]

/** The events of `request` have their ids. The answers are in the order of its appends, however often each was sent. */
export async function appendEach(
  http: Transport,
  request: MultiAppend,
  { signal }: CallOptions = {},
): Promise<AppendResults> {
  // As they are now, whatever the caller does with the objects meanwhile.
  const appends = JSON.parse(JSON.stringify(request.appends)) as MultiAppend['appends']
  const send = async (some: MultiAppend['appends']): Promise<Result[]> => {
    const answer = await http.call('post', '/events', { body: { ...request, appends: some }, signal })
    return (answer as AppendResults).results
  }
  const results = await send(appends)
  for (let failures = 1; failures < http.retry.attempts; failures++) {
    const left = results.flatMap((result, i) => (isPassing(result) ? [i] : []))
    if (left.length === 0) break
    await sleep(pauseMs(failures, http.retry), signal)
    try {
      const again = await send(left.map((i) => appends[i] as (typeof appends)[number]))
      for (const [n, i] of left.entries()) results[i] = merged(results[i] as Result, again[n] as Result)
    } catch (error) {
      // What the others were answered must not be lost with it.
      if (!(error instanceof AnnalsError)) throw error
      if (error.outcome === 'unknown') for (const i of left) results[i] = unsettled(results[i] as Result)
      break
    }
  }
  return { results }
}

const problemOf = ({ body }: Result) => body as Partial<Problem>

const isPassing = (result: Result) => result.status >= 400 && problemOf(result).retryable === true

/** An attempt that surely was not applied says nothing about an unknown one before it, unless it looked the ids up. */
const merged = (before: Result, now: Result): Result =>
  problemOf(before).outcome === 'unknown' && isPassing(now) ? unsettled(now) : now

const unsettled = ({ status, body }: Result): Result => ({ status, body: { ...body, outcome: 'unknown' } })
