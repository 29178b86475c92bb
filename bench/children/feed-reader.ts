// One reader of the whole feed as NDJSON: counts the lines of a chunked answer and looks at the first and the last.

import { connect } from 'node:net'
import { serveTask } from './child.ts'

export interface FeedTask {
  port: number
  path: string
}

export interface FeedResult {
  events: number
  bytes: number
  seconds: number
  firstPosition: number
  lastPosition: number
}

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
// More than a line of the bench's events.
const KEPT_BYTES = 4 * 1024

serveTask(async (task: FeedTask): Promise<FeedResult> => {
  const startedAt = performance.now()
  const body = new LineCounter()
  const chunks = new ChunkedBody((part) => body.take(part))
  await new Promise<void>((resolve, reject) => {
    const socket = connect({
      ...{ host: '127.0.0.1', port: task.port },
      onread: {
        buffer: Buffer.allocUnsafe(1024 * 1024),
        callback(length, buffer) {
          if (chunks.take((buffer as Buffer).subarray(0, length))) resolve()
          return true
        },
      },
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the answer broke off')))
    socket.write(`GET ${task.path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/x-ndjson\r\n\r\n`)
  })
  const seconds = (performance.now() - startedAt) / 1000
  const { events, bytes, first, last } = body
  return { events, bytes, seconds, firstPosition: positionOf(first), lastPosition: positionOf(last) }
})

/** Takes the framing of a chunked answer off. */
class ChunkedBody {
  readonly #onPart: (part: Buffer) => void
  #line = ''
  #state: 'head' | 'size' | 'data' | 'end of data' = 'head'
  #left = 0

  constructor(onPart: (part: Buffer) => void) {
    this.#onPart = onPart
  }

  /** True when the answer is complete. */
  take(data: Buffer): boolean {
    for (let at = 0; at < data.length; ) {
      if (this.#state === 'data') {
        const part = data.subarray(at, at + this.#left)
        this.#onPart(part)
        at += part.length
        this.#left -= part.length
        if (this.#left === 0) this.#state = 'end of data'
        continue
      }
      const byte = data[at++] as number
      if (byte !== LINE_FEED) {
        if (byte !== CARRIAGE_RETURN) this.#line += String.fromCharCode(byte)
        continue
      }
      const line = this.#line
      this.#line = ''
      if (this.#state === 'head') {
        if (line.startsWith('HTTP/') && !line.includes(' 200 ')) throw new Error(line)
        if (line === '') this.#state = 'size'
      } else if (this.#state === 'end of data') {
        this.#state = 'size'
      } else {
        this.#left = Number.parseInt(line, 16)
        if (this.#left === 0) return true
        this.#state = 'data'
      }
    }
    return false
  }
}

class LineCounter {
  events = 0
  bytes = 0
  #first = ''
  #last = Buffer.alloc(0)

  take(part: Buffer): void {
    if (this.bytes < KEPT_BYTES) this.#first += part.toString()
    for (let at = part.indexOf(LINE_FEED); at !== -1; at = part.indexOf(LINE_FEED, at + 1)) this.events++
    this.bytes += part.length
    // The buffer is used again for what comes next.
    this.#last = Buffer.concat([this.#last, part.subarray(-KEPT_BYTES)]).subarray(-KEPT_BYTES)
  }

  get first(): string {
    return this.#first.split('\n', 1)[0] as string
  }

  get last(): string {
    return this.#last.toString().trimEnd().split('\n').at(-1) as string
  }
}

const positionOf = (line: string): number => (JSON.parse(line) as { position: number }).position
