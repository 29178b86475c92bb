// What a program of PostgreSQL is handed of our environment: what it needs to run and to connect, and none of our secrets.

const PASSED = /^(PATH|HOME|USER|TZ|TMPDIR|SystemRoot|PG[A-Z]+)$/

/** `PGSSLROOTCERT`, `PGPASSFILE` and the like go through; messages come in English. */
export function toolEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  const passed = Object.entries(process.env).filter(([name, value]) => PASSED.test(name) && value !== undefined)
  return { ...(Object.fromEntries(passed) as Record<string, string>), LC_ALL: 'C', ...extra }
}

/** The folders of `PATH`. */
export const searchPath = (): string[] =>
  (process.env['PATH'] ?? '').split(process.platform === 'win32' ? ';' : ':').filter((folder) => folder !== '')
