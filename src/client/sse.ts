// Server-Sent Events over fetch: EventSource can't send a token, and does not say when a connection is dead.

/** One event; a comment (a heartbeat) has the name `comment`. */
export interface Frame {
  event: string
  id: string
  data: string
}

/**
 * Takes text as it comes and gives the frames that it completes, as the standard has them, with comments between them.
 * An `id` is that of its own frame, and does not stay for later ones.
 */
class FrameParser {
  #rest = ''
  #endsWithCr = false
  #event = ''
  #id = ''
  #data: string[] = []

  push(text: string): Frame[] {
    if (text === '') return []
    // A line ends with CR at once; the LF that may come with the next piece belongs to it.
    const fresh = this.#endsWithCr && text.startsWith('\n') ? text.slice(1) : text
    this.#endsWithCr = text.endsWith('\r')
    const lines = (this.#rest + fresh).split(/\r\n|\n|\r/)
    this.#rest = lines.pop() ?? ''
    return lines.flatMap((line) => this.#take(line))
  }

  #take(line: string): Frame[] {
    if (line === '') return this.#finish()
    if (line.startsWith(':')) return [{ event: 'comment', id: '', data: line.slice(1) }]
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
    if (name === 'data') this.#data.push(value)
    else if (name === 'event') this.#event = value
    else if (name === 'id' && !value.includes('\0')) this.#id = value
    return []
  }

  /** A frame without data is none. */
  #finish(): Frame[] {
    const frame = { event: this.#event || 'message', id: this.#id, data: this.#data.join('\n') }
    const isOne = this.#data.length > 0
    this.#event = ''
    this.#id = ''
    this.#data = []
    return isOne ? [frame] : []
  }
}

/**
 * The frames of an answer until it ends. `waiting(true)` is called before each wait for more, `waiting(false)` after
 * it, so that the caller can tell a dead connection from a slow reader.
 */
export async function* framesOf(
  body: ReadableStream<Uint8Array>,
  waiting: (isWaiting: boolean) => void,
): AsyncGenerator<Frame, void, undefined> {
  const reader = body.getReader()
  // Which passes over a byte order mark.
  const decoder = new TextDecoder()
  const parser = new FrameParser()
  try {
    for (;;) {
      waiting(true)
      const { done, value } = await reader.read()
      waiting(false)
      if (done) return
      yield* parser.push(decoder.decode(value, { stream: true }))
    }
  } finally {
    waiting(false)
    // What is left belongs to nobody; a connection that broke says so again here.
    await reader.cancel().catch(() => {})
  }
}
