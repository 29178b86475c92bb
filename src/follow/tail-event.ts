// An event on its way to those who follow. What only some of them need is worked out once, for the first who asks.

import type { EventLine } from '../db/event-log.ts'

/** The members of an event that filters look at. */
export interface EventFields {
  stream_id: string
  version: number
  type: string
  created_at: string
  metadata: Record<string, unknown> | null
}

export class TailEvent {
  readonly position: number
  readonly json: string
  #fields: EventFields | undefined
  readonly #frames = new Map<string, Buffer>()

  constructor({ at, json }: EventLine) {
    this.position = at
    this.json = json
  }

  get fields(): EventFields {
    this.#fields ??= JSON.parse(this.json) as EventFields
    return this.#fields
  }

  /** The bytes that `make` gives; kept under `form`, so that a thousand readers share them. */
  frame(form: string, make: (event: TailEvent) => string): Buffer {
    let bytes = this.#frames.get(form)
    if (bytes === undefined) {
      bytes = Buffer.from(make(this))
      this.#frames.set(form, bytes)
    }
    return bytes
  }
}
