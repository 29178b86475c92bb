// state.json of a drill: what is done, so that one that was killed goes on where it was.

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { BackupError } from '../backup-error.ts'

const Step = Type.Object({
  title: Type.String(),
  phase: Type.String(),
  started_at: Type.String(),
  finished_at: Type.String(),
  seconds: Type.Number(),
  evidence: Type.String(),
})

const DrillState = Type.Object({
  id: Type.String(),
  scenario: Type.String(),
  started_at: Type.String(),
  /** Times that it was taken up again after it had been broken off. */
  resumed: Type.Integer(),
  steps: Type.Array(Step),
  facts: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()])),
  finished_at: Type.Union([Type.String(), Type.Null()]),
})
export type DrillState = Static<typeof DrillState>

/** @throws BackupError `not_found`, `damaged` */
export function readState(folder: string): DrillState {
  const file = join(folder, 'state.json')
  let value: unknown
  try {
    value = JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new BackupError('not_found', `there is no drill in ${folder}: ${(cause as Error).message}`, { cause })
  }
  if (Value.Check(DrillState, value)) return value
  throw new BackupError('damaged', `${file} is not the state of a drill`)
}

/** It is there whole, or as it was. */
export function writeState(folder: string, state: DrillState): void {
  const file = join(folder, 'state.json')
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`)
  renameSync(`${file}.new`, file)
}
