/** Runs one statement; `query` of a client or pool of `pg`, bound. */
export type RunQuery = (text: string, values?: unknown[]) => Promise<{ rows: Record<string, unknown>[] }>
