import type { DatabaseError } from 'pg'

/** Who migrates at the moment, as the database sees it. */
export interface LockHolder {
  pid: number
  application_name: string
  /** RFC 3339; null when the role may not see it. */
  since: string | null
}

/** `drift` and `newer` as in the status; `locked`: someone else migrates; `refused`: it was not begun; `failed`: it was. */
export type MigrationErrorKind = 'drift' | 'newer' | 'locked' | 'refused' | 'failed'

/** Why migrations can't go on, in words for the operator; the message may name roles, hosts and SQL. */
export class MigrationError extends Error {
  override name = 'MigrationError'
  readonly kind: MigrationErrorKind
  readonly holder: LockHolder | undefined

  constructor(kind: MigrationErrorKind, message: string, options: { cause?: unknown; holder?: LockHolder } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
    this.holder = options.holder
  }
}

const HINTS: Readonly<Record<string, string>> = {
  '25001':
    'a file that says annals:no-transaction holds exactly one statement; one that does not runs in a transaction',
  '42501': 'connect as the role that owns the tables, with CREATE on the database or on the schema',
  '53100': 'free space on the database volume, then run it again',
}

/** What PostgreSQL said about a migration: message, detail, hint, and the line of the file that it points at. */
export function describeFailure(error: unknown, text: string): string {
  const { message, detail, hint, position, code } = error as DatabaseError
  const parts = [message, detail, hint ?? HINTS[code ?? '']].filter((part) => part)
  if (position !== undefined) {
    const before = text.slice(0, Number(position) - 1).split('\n')
    parts.push(`line ${before.length}: ${text.split('\n')[before.length - 1]?.trim()}`)
  }
  return parts.join('; ')
}
