// Bulk append of exported events, a chunk of lines a request: in the order of the lines, each event by itself, and an
// event that is stored already is passed over, so that an import can be repeated or resumed.

import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { AppendLimits } from '../contract/event-body.ts'
import { type ImportLine, ImportLines } from '../contract/import-lines.ts'
import type { AppendOutcome, EventLog } from '../db/event-log.ts'
import { AppError } from '../errors.ts'
import { NDJSON_TYPE } from '../http/ndjson.ts'
import { streamedBodies } from '../http/streamed-bodies.ts'
import { problems } from './schemas.ts'

export interface ImportRoutesOptions {
  log: EventLog
  limits: AppendLimits
}

// More would make an answer that nobody reads.
const MAX_FAILURES = 100

const ImportedSchema = Type.Object(
  {
    stored: Type.Integer({ description: 'Events stored by this request.' }),
    already_stored: Type.Integer({ description: 'Events passed over: the same id with the same content.' }),
    failed: Type.Integer({ description: 'Events that could not be stored.' }),
    failures: Type.Array(
      Type.Object(
        { line: Type.Integer(), code: Type.String(), detail: Type.String() },
        { additionalProperties: false },
      ),
      { description: 'The first of those that failed; lines count from 1.' },
    ),
  },
  { $id: 'Imported', additionalProperties: false },
)

/** `POST /import`. */
export function importRoutes(app: FastifyInstance, { log, limits }: ImportRoutesOptions): void {
  app.addSchema(ImportedSchema)
  app.register(async (scoped) => {
    streamedBodies(scoped, () => new ImportLines(limits))
    importRoute(scoped, log)
  })
}

function importRoute(app: FastifyInstance, log: EventLog): void {
  app.post(
    '/import',
    {
      config: { scope: 'append', checksBody: true, bodyTypes: [NDJSON_TYPE] },
      schema: {
        operationId: 'importEvents',
        tags: ['append'],
        summary: 'Append exported events, one a line',
        description:
          'Lines as `GET /events` exports them: `stream_id` and the members of an event; `version`, when given, is demanded; `position` and `created_at` are given anew. A line that can not be read refuses the whole request; after that each event is stored or not by itself, in order.',
        response: {
          200: Type.Ref(ImportedSchema.$id as string),
          ...problems(
            'malformed_request',
            'validation_failed',
            'stream_id_invalid',
            'payload_too_large',
            'unsupported_media_type',
            'unstorable_value',
          ),
        },
      },
    },
    async (request) => {
      const lines = (request.body as ImportLines).finish()
      const outcomes = await log.append(lines.map(({ append }) => ({ appends: [append], checks: [] })))
      const isPartlyStored = outcomes.some((outcome) => outcome.kind === 'appended')
      return summary(
        lines,
        outcomes.map((outcome) => concluded(outcome, isPartlyStored)),
      )
    },
  )
}

/** What the database could not do concerns every line: the whole request is then to be repeated. */
function concluded(outcome: AppendOutcome, isPartlyStored: boolean): Exclude<AppendOutcome, { kind: 'failed' }> {
  if (outcome.kind !== 'failed') return outcome
  const { code, message, cause } = outcome.error
  throw isPartlyStored ? new AppError(code, message, { members: { outcome: 'unknown' }, cause }) : outcome.error
}

function summary(lines: ImportLine[], outcomes: Exclude<AppendOutcome, { kind: 'failed' }>[]) {
  const failures: { line: number; code: string; detail: string }[] = []
  let stored = 0
  let alreadyStored = 0
  let failed = 0
  outcomes.forEach((outcome, i) => {
    if (outcome.kind === 'appended') {
      if (outcome.appends[0]?.replayed === true) alreadyStored++
      else stored++
      return
    }
    failed++
    if (failures.length < MAX_FAILURES) failures.push({ line: lines[i]?.line ?? 0, ...reason(outcome) })
  })
  return { stored, already_stored: alreadyStored, failed, failures }
}

function reason(outcome: AppendOutcome & { kind: 'conflict' | 'ids_reused' }): { code: string; detail: string } {
  if (outcome.kind === 'ids_reused') {
    return { code: 'event_id_reused', detail: 'The id is stored with other content or in another stream.' }
  }
  const {
    expected_version: expected,
    current_version: current,
    stream_id: streamId,
  } = outcome.failed[0] as (typeof outcome.failed)[0]
  return {
    code: 'version_conflict',
    detail: `Stream ${JSON.stringify(streamId)} is at version ${current}, not at ${expected}.`,
  }
}
