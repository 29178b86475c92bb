// PostgreSQL's wire protocol, as far as faults need it: where a message ends, which statement it is about, and the
// messages that a server in trouble would send.

export interface Message {
  /** One letter; empty for the first message of a client, which has none. */
  type: string
  /** The message as it was sent. */
  bytes: Buffer
}

/** Puts the messages of one direction together. */
export class MessageReader {
  #rest: Buffer = Buffer.alloc(0)
  #isUntyped: boolean

  constructor(of: 'client' | 'server') {
    this.#isUntyped = of === 'client'
  }

  read(chunk: Buffer): Message[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const messages: Message[] = []
    for (;;) {
      const lengthAt = this.#isUntyped ? 0 : 1
      if (this.#rest.length < lengthAt + 4) return messages
      const end = lengthAt + this.#rest.readInt32BE(lengthAt)
      if (this.#rest.length < end) return messages
      const bytes = this.#rest.subarray(0, end)
      this.#rest = this.#rest.subarray(end)
      messages.push({ type: this.#isUntyped ? '' : String.fromCharCode(bytes[0] as number), bytes })
      this.#isUntyped = false
    }
  }
}

/** The texts that follow one another in a message, each closed by a zero byte. */
export function textsOf({ bytes, type }: Message, count: number): string[] {
  const texts: string[] = []
  for (let at = type === '' ? 4 : 5; texts.length < count; ) {
    const end = bytes.indexOf(0, at)
    if (end === -1) break
    texts.push(bytes.toString('utf8', at, end))
    at = end + 1
  }
  return texts
}

/** The state of the transaction, as ReadyForQuery says it: `I` none, `T` in one, `E` in one that failed. */
export type TransactionState = 'I' | 'T' | 'E'

export const readyForQuery = (state: TransactionState): Buffer => message('Z', Buffer.from(state))

/** ErrorResponse with the fields that every server sends. */
export function errorResponse(sqlState: string, severity: 'ERROR' | 'FATAL', text: string): Buffer {
  const fields = { S: severity, V: severity, C: sqlState, M: text }
  return message(
    'E',
    Buffer.from(
      `${Object.entries(fields)
        .map(([key, value]) => `${key}${value}\0`)
        .join('')}\0`,
    ),
  )
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.from(`${type}\0\0\0\0`)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
