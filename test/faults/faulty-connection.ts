// One connection through the fault proxy: both directions message by message, and which statement is under way.

import type { Socket } from 'node:net'
import type { Weather } from './fault-proxy.ts'
import { errorResponse, type Message, MessageReader, readyForQuery, type TransactionState, textsOf } from './wire.ts'

/** A statement and its answer. */
export interface Exchange {
  /** Of the statement; that of a prepared one too. */
  text: string
  /** In which state the transaction was before. */
  state: TransactionState
}

/**
 * `before`: the server never sees the statement. `after`: it has done it, and has committed it unless a transaction goes
 * on. An error leaves the connection usable unless it is `FATAL`. With `die` after it, `delivered` says whether the
 * client has seen all of the answer but its end.
 */
export type StatementFault =
  | { kind: 'error'; when: 'before' | 'after'; sqlState: string; severity?: 'ERROR' | 'FATAL' }
  | { kind: 'hang'; when: 'before' | 'after' }
  | { kind: 'die'; when: 'before' }
  | { kind: 'die'; when: 'after'; delivered?: 'nothing' | 'all_but_ready' }

interface UnderWay extends Exchange {
  fault: StatementFault | undefined
  /** The server has not seen it: its turn comes when those before it are answered. */
  isKept: boolean
  answer: Buffer[]
}

const SSL_REQUEST = 80877103
const GSS_REQUEST = 80877104
const ENDS_A_REQUEST = new Set(['S', 'Q'])
const BELONGS_TO_A_REQUEST = new Set(['P', 'B', 'D', 'E', 'C', 'F'])

export class FaultyConnection {
  readonly client: Socket
  /** Stopped by itself, whatever the others do. */
  isStopped = false
  #server: Socket | undefined
  readonly #weather: Weather
  readonly #onClose: () => void
  readonly #toServer: Pipe
  readonly #toClient: Pipe
  readonly #statements = new Map<string, string>()
  readonly #underWay: UnderWay[] = []
  #request: Message[] = []
  #state: TransactionState = 'I'
  #isOpaque = false
  #isDead = false

  constructor(client: Socket, weather: Weather, onClose: () => void) {
    this.client = client
    this.#weather = weather
    this.#onClose = onClose
    this.#toServer = new Pipe(() => this.#passage('to_server'))
    this.#toClient = new Pipe(() => this.#passage('to_client'))
    this.#toClient.link(client)
    const reader = new MessageReader('client')
    client.on('data', (chunk: Buffer) => {
      if (this.#isOpaque) this.#toServer.write(chunk)
      else for (const message of reader.read(chunk)) this.#fromClient(message)
    })
    client.on('error', () => {})
    client.on('close', () => {
      this.#onClose()
      this.#toServer.end()
    })
  }

  get isLinked(): boolean {
    return this.#server !== undefined
  }

  /** The way to the server; what the client has said meanwhile goes there first. */
  link(server: Socket): void {
    this.#server = server
    const reader = new MessageReader('server')
    let isFirst = true
    server.on('data', (chunk: Buffer) => {
      if (this.#isDead) return
      const { answerAfterMs = 0 } = this.#weather.options
      if (isFirst && answerAfterMs > 0) this.#toClient.holdFor(answerAfterMs)
      isFirst = false
      if (this.#isOpaque) this.#toClient.write(chunk)
      else for (const message of reader.read(chunk)) this.#fromServer(message)
    })
    server.on('error', () => {})
    server.on('close', () => this.#toClient.end())
    this.#toServer.link(server)
  }

  /** Lets go through what has waited. */
  resume(): void {
    this.#toServer.flush()
    this.#toClient.flush()
  }

  /** The client sees a reset, and the server that it is gone. */
  reset(): void {
    this.#isDead = true
    this.client.resetAndDestroy()
    this.#server?.destroy()
  }

  destroy(): void {
    this.#isDead = true
    this.client.destroy()
    this.#server?.destroy()
  }

  #passage(way: 'to_server' | 'to_client'): Passage {
    const { blackHole, latencyMs } = this.#weather
    const isHit = blackHole !== undefined && (blackHole.direction === 'both' || blackHole.direction === way)
    return { isOpen: !isHit && !this.isStopped, loses: isHit && blackHole.loses, latencyMs }
  }

  #fromClient(message: Message): void {
    if (message.type === '') {
      const code = message.bytes.readInt32BE(4)
      this.#isOpaque = code === SSL_REQUEST || code === GSS_REQUEST
      this.#toServer.write(message.bytes)
    } else if (BELONGS_TO_A_REQUEST.has(message.type)) {
      this.#request.push(message)
    } else if (ENDS_A_REQUEST.has(message.type)) {
      this.#send([...this.#request, message])
      this.#request = []
    } else {
      this.#toServer.write(message.bytes)
    }
  }

  #send(request: Message[]): void {
    const exchange = { text: this.#textOf(request), state: this.#state }
    const fault = this.#weather.inject?.(exchange)
    const isKept = fault?.when === 'before'
    this.#underWay.push({ ...exchange, fault, isKept, answer: [] })
    if (isKept) return this.#answerKept()
    this.#toServer.write(Buffer.concat(request.map(({ bytes }) => bytes)))
  }

  #textOf(request: Message[]): string {
    let text = ''
    for (const message of request) {
      if (message.type === 'Q') text = textsOf(message, 1)[0] ?? ''
      if (message.type === 'P') {
        const [name = '', parsed = ''] = textsOf(message, 2)
        this.#statements.set(name, parsed)
        text = parsed
      }
      if (message.type === 'B') text = this.#statements.get(textsOf(message, 2)[1] ?? '') ?? text
    }
    return text
  }

  #fromServer(message: Message): void {
    const { readyAfterMs, changesProcessId } = this.#weather.options
    if (message.type === 'K' && changesProcessId) {
      message.bytes.writeInt32BE(message.bytes.readInt32BE(5) + 1, 5)
    }
    if (message.type === 'Z') {
      this.#state = String.fromCharCode(message.bytes[5] as number) as TransactionState
      if (readyAfterMs !== undefined) this.#toClient.holdFor(readyAfterMs)
    }
    const [exchange] = this.#underWay
    if (exchange?.fault === undefined) {
      this.#toClient.write(message.bytes)
    } else if (message.type === 'Z') {
      this.#instead(exchange.fault, exchange.answer)
    } else exchange.answer.push(message.bytes)
    if (message.type !== 'Z') return
    this.#underWay.shift()
    this.#answerKept()
  }

  // A server answers in order, whatever it thinks of a statement that was sent behind another one.
  #answerKept(): void {
    for (let [first] = this.#underWay; first?.isKept === true && !this.#isDead; [first] = this.#underWay) {
      this.#underWay.shift()
      this.#instead(first.fault as StatementFault)
    }
  }

  /** Does what the fault wants in place of the statement or of its answer. */
  #instead(fault: StatementFault, answer: Buffer[] = []): void {
    if (fault.kind === 'hang') {
      this.#isDead = true
      return
    }
    if (fault.kind === 'die') {
      if (fault.when === 'before' || fault.delivered !== 'all_but_ready') return this.reset()
      this.#isDead = true
      this.client.end(Buffer.concat(answer))
      this.#server?.destroy()
      return
    }
    const { sqlState, severity = 'ERROR' } = fault
    const error = errorResponse(sqlState, severity, 'injected')
    if (severity === 'FATAL') {
      this.#isDead = true
      this.client.end(error)
      this.#server?.destroy()
      return
    }
    this.#toClient.write(Buffer.concat([error, readyForQuery(this.#state === 'I' ? 'I' : 'E')]))
  }
}

interface Passage {
  isOpen: boolean
  loses: boolean
  latencyMs: number
}

/** One direction: in order, maybe late, maybe never. */
class Pipe {
  readonly #passage: () => Passage
  readonly #waiting: { bytes: Buffer | null; at: number }[] = []
  #to: Socket | undefined
  #timer: NodeJS.Timeout | undefined
  #heldUntil = 0
  #hasLost = false

  constructor(passage: () => Passage) {
    this.#passage = passage
  }

  link(to: Socket): void {
    this.#to = to
    this.flush()
  }

  /** What comes from now on comes later by this much. */
  holdFor(ms: number): void {
    this.#heldUntil = performance.now() + ms
  }

  write(bytes: Buffer): void {
    this.#put(bytes)
  }

  end(): void {
    this.#put(null)
  }

  flush(): void {
    clearTimeout(this.#timer)
    for (;;) {
      const [first] = this.#waiting
      if (first === undefined || this.#to === undefined || !this.#passage().isOpen) return
      const leftMs = first.at - performance.now()
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.flush(), Math.ceil(leftMs))
        return
      }
      this.#waiting.shift()
      if (first.bytes === null) this.#to.destroy()
      else this.#to.write(first.bytes)
    }
  }

  #put(bytes: Buffer | null): void {
    const { isOpen, loses, latencyMs } = this.#passage()
    // A stream has no holes: where something was lost for good, nothing that follows is ever handed over.
    this.#hasLost ||= !isOpen && loses
    if (this.#hasLost && bytes !== null) return
    const now = performance.now()
    const isClear = this.#waiting.length === 0 && isOpen && this.#to !== undefined
    if (isClear && latencyMs === 0 && this.#heldUntil <= now) {
      if (bytes === null) this.#to?.destroy()
      else this.#to?.write(bytes)
      return
    }
    this.#waiting.push({ bytes, at: Math.max(now + latencyMs, this.#heldUntil) })
    this.flush()
  }
}
