// One row in binary form, and the line of JSON that an event's row becomes.

import { fragment, type JsonBytes } from './json-bytes.ts'

/** The columns of an event, in the order in which {@link BinaryRow} finds them; others may follow. */
export const EVENT_COLUMNS = `e.position, e.version, e.event_id, e.stream_id, e.event_type, e.event_data, e.is_json, e.content_type,
  e.metadata, e.created_at`
export const EVENT_FIELDS = 10

const NULL_LENGTH = -1
const MAX_FIELDS = EVENT_FIELDS + 3

const POSITION = fragment('{"position":')
const STREAM_ID = fragment(',"stream_id":')
const VERSION = fragment(',"version":')
const ID = fragment(',"id":"')
const TYPE = fragment('","type":')
const DATA = fragment(',"data":')
const DATA_BASE64 = fragment(',"data_base64":"')
const CONTENT_TYPE = fragment(',"content_type":')
const JSON_TYPE = fragment('"application/json"')
const BYTES_TYPE = fragment('"application/octet-stream"')
const METADATA = fragment(',"metadata":')
const NULL = fragment('null')
const CREATED_AT = fragment(',"created_at":"')
const END = fragment('"}')
const QUOTE = fragment('"')

/** Finds the fields of one row after another; what it says is of the row that was found last. */
export class BinaryRow {
  #data: Buffer = Buffer.alloc(0)
  /** Where the fields begin and end; -1 for NULL. */
  readonly #starts = new Int32Array(MAX_FIELDS)
  readonly #ends = new Int32Array(MAX_FIELDS)

  /** Finds the row whose fields begin at `start`. */
  find(data: Buffer, start: number): void {
    this.#data = data
    const fields = data.readInt16BE(start)
    let pos = start + 2
    for (let i = 0; i < fields; i++) {
      const length = data.readInt32BE(pos)
      pos += 4
      this.#starts[i] = length === NULL_LENGTH ? NULL_LENGTH : pos
      if (length > 0) pos += length
      this.#ends[i] = pos
    }
  }

  /** Whether it is an event at all; a row that only tells about others has no id. */
  get isEvent(): boolean {
    return !this.isNull(2)
  }

  get position(): number {
    return this.number(0)
  }

  get version(): number {
    return this.number(1)
  }

  isNull(field: number): boolean {
    return this.#starts[field] === NULL_LENGTH
  }

  /** A `bigint`. */
  number(field: number): number {
    const start = this.#starts[field] as number
    return this.#data.readInt32BE(start) * 0x1_0000_0000 + this.#data.readUInt32BE(start + 4)
  }

  writeEvent(lines: JsonBytes): void {
    const data = this.#data
    lines.fragment(POSITION)
    lines.integer(this.position)
    lines.fragment(STREAM_ID)
    this.#string(lines, 3)
    lines.fragment(VERSION)
    lines.integer(this.version)
    lines.fragment(ID)
    lines.uuid(data, this.#starts[2] as number)
    lines.fragment(TYPE)
    this.#string(lines, 4)
    const isJson = data[this.#starts[6] as number] === 1
    if (isJson) {
      lines.fragment(DATA)
      lines.copy(data, this.#starts[5] as number, this.#ends[5] as number)
    } else {
      lines.fragment(DATA_BASE64)
      lines.base64(data, this.#starts[5] as number, this.#ends[5] as number)
      lines.fragment(QUOTE)
    }
    lines.fragment(CONTENT_TYPE)
    if (this.isNull(7)) lines.fragment(isJson ? JSON_TYPE : BYTES_TYPE)
    else this.#string(lines, 7)
    lines.fragment(METADATA)
    if (this.isNull(8)) lines.fragment(NULL)
    // The first byte is the version of the format.
    else lines.copy(data, (this.#starts[8] as number) + 1, this.#ends[8] as number)
    lines.fragment(CREATED_AT)
    lines.time(data, this.#starts[9] as number)
    lines.fragment(END)
  }

  #string(lines: JsonBytes, field: number): void {
    lines.string(this.#data, this.#starts[field] as number, this.#ends[field] as number)
  }
}
