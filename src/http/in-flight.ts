// The responses that are not complete. Not a Set: one of those that thousands of short-lived objects pass through is
// copied into a new table every so often, and V8's old tables point to their successors. Those that have grown old keep
// alive what is young, so every response outlived two scavenges: of 60 µs that an append took here, 12.

import type { ServerResponse } from 'node:http'

const slotOf = Symbol('slot')
type Slotted = ServerResponse & { [slotOf]?: number | undefined }

export class InFlight implements Iterable<ServerResponse> {
  readonly #slots: (ServerResponse | undefined)[] = []
  readonly #free: number[] = []

  get size(): number {
    return this.#slots.length - this.#free.length
  }

  /** A response that is in already stays where it is. */
  add(response: ServerResponse): void {
    const slotted = response as Slotted
    if (slotted[slotOf] !== undefined) return
    const slot = this.#free.pop() ?? this.#slots.length
    this.#slots[slot] = response
    slotted[slotOf] = slot
  }

  delete(response: ServerResponse): void {
    const slotted = response as Slotted
    const slot = slotted[slotOf]
    if (slot === undefined) return
    slotted[slotOf] = undefined
    this.#slots[slot] = undefined
    this.#free.push(slot)
  }

  *[Symbol.iterator](): IterableIterator<ServerResponse> {
    for (const response of this.#slots) if (response !== undefined) yield response
  }
}
