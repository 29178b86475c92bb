import { createHash } from 'node:crypto'
import type { StoredEvent } from '../client/client.ts'

/** A short text that differs when an event does, in any member or in their order. */
export const digestOf = (event: StoredEvent): string =>
  createHash('sha256').update(JSON.stringify(event)).digest('base64url').slice(0, 16)
