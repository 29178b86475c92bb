// The largest of many events, which annals_head keeps so that readers know how long a page may be.

import { fieldOf, type OnRow } from './copy-rows.ts'
import { EVENTS } from './store-tables.ts'

const DATA = EVENTS.columns.indexOf('event_data')
const METADATA = EVENTS.columns.indexOf('metadata')

export class LargestEvent {
  bytes = 0

  readonly onRow: OnRow = (buffer, start) => {
    const data = fieldOf(buffer, start, DATA)?.length ?? 0
    // In front of the text of a jsonb there is one byte for its version.
    const metadata = Math.max((fieldOf(buffer, start, METADATA)?.length ?? 0) - 1, 0)
    this.bytes = Math.max(this.bytes, data + metadata)
  }
}
