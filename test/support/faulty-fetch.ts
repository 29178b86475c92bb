// A fetch whose answers get lost.

type Fetch = typeof globalThis.fetch

/**
 * What happens to a request: `fine`; `before`: it never arrives; `after`: it is done, and the answer is lost; `cut`:
 * the answer begins and breaks off; a Response: that is the answer, the request never arrives.
 */
export type Fate = 'fine' | 'before' | 'after' | 'cut' | Response

export interface FaultyFetch {
  fetch: Fetch
  /** The bodies of all requests so far, whatever became of them. */
  bodies: string[]
}

const lost = () => new TypeError('fetch failed', { cause: Object.assign(new Error('lost'), { code: 'ECONNRESET' }) })

/** Every request asks for its fate. */
export function faultyFetch(fateOf: (count: number) => Fate): FaultyFetch {
  const bodies: string[] = []
  const fetch: Fetch = async (input, init) => {
    bodies.push(String(init?.body ?? ''))
    const fate = fateOf(bodies.length)
    if (fate === 'before') throw lost()
    if (fate instanceof Response) return fate
    const response = await globalThis.fetch(input, init)
    if (fate === 'fine') return response
    const bytes = new Uint8Array(await response.arrayBuffer())
    if (fate === 'after') throw lost()
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(bytes.slice(0, bytes.length / 2))
        controller.error(lost())
      },
    })
    return new Response(body, response)
  }
  return { fetch, bodies }
}

/** The answer of a service, as its catalogue has it. */
export const problemAnswer = (
  code: string,
  status: number,
  members: Record<string, unknown> = {},
  headers: Record<string, string> = {},
) =>
  new Response(
    JSON.stringify({
      type: `urn:annals:problem:${code}`,
      title: code,
      status,
      code,
      detail: `It is ${code}.`,
      request_id: 'req-1',
      retryable: status === 503,
      outcome: 'not_applied',
      ...members,
    }),
    { status, headers: { 'content-type': 'application/problem+json', ...headers } },
  )
