// How the command line is started in tests.

import { fileURLToPath } from 'node:url'

/** What was built: `npm test` does that before. Elsewhere the sources, which take five times as long to start. */
export const MAIN = process.env['TEST_PROGRAM'] ?? fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** The program and what comes before its arguments. */
export const PROGRAM: readonly string[] = [
  process.execPath,
  ...(MAIN.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : []),
  MAIN,
]

/** The same with `args`, for `spawn`: by `env -u`, because tap has NODE_OPTIONS load itself into every child. */
export const childCommand = (args: string[]): [string, string[]] => [
  '/usr/bin/env',
  ['-u', 'NODE_OPTIONS', ...PROGRAM, ...args],
]
