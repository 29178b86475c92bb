// The whole feed from a position on, as the proof keeps it: own events in full, of others only where they are.

import type { StoredEvent } from '../client/client.ts'
import { head } from '../client/read.ts'
import type { Transport } from '../client/transport.ts'
import type { Dump } from './history.ts'
import { linesOf } from './lines.ts'

/** Reads the feed after a position to its end. @throws AnnalsError */
export async function takeDump(http: Transport, after: number, prefix: string, signal: AbortSignal): Promise<Dump> {
  const dump: Dump = { after, head: await head(http, { signal }), entries: [] }
  const headers = { accept: 'application/x-ndjson' }
  const body = await http.open({ path: '/events', query: { after } }, headers, signal)
  for await (const line of linesOf(body)) addTo(dump.entries, JSON.parse(line) as StoredEvent, prefix)
  return dump
}

function addTo(entries: Dump['entries'], event: StoredEvent, prefix: string): void {
  if (event.stream_id.startsWith(prefix)) {
    entries.push(event)
    return
  }
  const last = entries.at(-1)
  if (last !== undefined && 'foreign' in last && last.foreign[1] === event.position - 1) last.foreign[1]++
  else entries.push({ foreign: [event.position, event.position] })
}
