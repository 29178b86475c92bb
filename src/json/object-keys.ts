// Which keys the objects have that a scan is in the middle of, so that a key that comes twice is found.

import { decodeString, endOfString } from './tokens.ts'

// Up to this many keys an object's keys are compared by hash, one by one; beyond, a set keeps it linear.
const FEW_KEYS = 16

/** Like the scan itself it is synchronous, so one set of arrays serves all; the keys of open objects lie one after another. */
const firstOf: number[] = []
const sets: (Set<string> | undefined)[] = []
let hashes = new Int32Array(256)
let offsets = new Int32Array(256)
let count = 0

/** Begins anew. */
export function forgetKeys(): void {
  count = 0
}

/** An object opens at `depth`. */
export function openObject(depth: number): void {
  firstOf[depth] = count
  sets[depth] = undefined
}

/** The object at `depth` closes. */
export function closeObject(depth: number): void {
  count = firstOf[depth] as number
}

/**
 * Notes a key of the object at `depth`: the string literal from `start` to `end`, `isEscaped` when it has escapes.
 * @returns whether the object has it already
 */
export function noteKey(json: Buffer, start: number, end: number, depth: number, isEscaped: boolean): boolean {
  const first = firstOf[depth] as number
  const set = sets[depth]
  if (set !== undefined) {
    const key = decodeString(json, start, end)
    const isKnown = set.has(key)
    set.add(key)
    return isKnown
  }
  // An escaped key can equal one that is written plainly, so it has to be compared by text.
  if (isEscaped || count - first >= FEW_KEYS) {
    const keys = new Set<string>()
    for (let i = first; i < count; i++) keys.add(textAt(json, offsets[i] as number))
    sets[depth] = keys
    return noteKey(json, start, end, depth, isEscaped)
  }
  let hash = 0x811c9dc5 | 0
  for (let i = start + 1; i < end - 1; i++) hash = Math.imul(hash ^ (json[i] as number), 0x01000193)
  let isKnown = false
  for (let i = first; i < count && !isKnown; i++) {
    isKnown = hashes[i] === hash && textAt(json, offsets[i] as number) === decodeString(json, start, end)
  }
  if (count === hashes.length) grow()
  hashes[count] = hash
  offsets[count++] = start
  return isKnown
}

function grow(): void {
  hashes = twiceAsLong(hashes)
  offsets = twiceAsLong(offsets)
}

function twiceAsLong(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const longer = new Int32Array(array.length * 2)
  longer.set(array)
  return longer
}

const textAt = (json: Buffer, start: number): string => decodeString(json, start, endOfString(json, start))
