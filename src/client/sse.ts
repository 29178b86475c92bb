// Server-Sent Events over fetch: EventSource can't send a token, and does not say when a connection is dead.

/** One event; a comment (a heartbeat) has the name `comment`. */
export interface Frame {
  event: string
  id: string
  data: string
}

/** Takes text as it comes and gives the frames that it completes. */
class FrameParser {
  #rest = ''
  #frame: Frame = { event: '', id: '', data: '' }

  push(text: string): Frame[] {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    const frames: Frame[] = []
    for (const raw of lines) {
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw
      if (line === '') {
        if (this.#frame.event !== '') frames.push(this.#frame)
        this.#frame = { event: '', id: '', data: '' }
      } else if (line.startsWith(':')) {
        frames.push({ event: 'comment', id: '', data: line.slice(1) })
      } else {
        this.#field(line)
      }
    }
    return frames
  }

  #field(line: string): void {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon)
    const value = line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (name === 'data') this.#frame.data += this.#frame.data === '' ? value : `\n${value}`
    else if (name === 'id' || name === 'event') this.#frame[name] = value
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
