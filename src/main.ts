#!/usr/bin/env node
// argv to one command; the only place that sets an exit code.

import { buildProgram } from './cli/program.ts'

try {
  await buildProgram().parseAsync()
  process.exit(0)
} catch (error) {
  console.error(`annals: ${(error as Error).message}`)
  process.exit(1)
}
