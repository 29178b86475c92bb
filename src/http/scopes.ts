// What callers may be allowed to do.

export const SCOPES = ['read', 'append', 'metrics', 'admin'] as const
export type Scope = (typeof SCOPES)[number]

/** Which scopes a caller has; `admin` includes all. */
export type Grant = ReadonlySet<Scope>

export const EVERYTHING: Grant = new Set(SCOPES)
export const NOTHING: Grant = new Set()

/** Somebody who showed a token that holds. */
export interface Caller {
  grant: Grant
  /** Stands for the caller where requests are counted; says nothing about the token. */
  key: string
}

/** Whether it is one of {@link SCOPES}. */
export const isScope = (name: string): name is Scope => (SCOPES as readonly string[]).includes(name)

/** What these scopes allow; `admin` stands for all. */
export const grantOf = (scopes: Iterable<Scope>): Grant => {
  const grant = new Set(scopes)
  return grant.has('admin') ? EVERYTHING : grant
}
