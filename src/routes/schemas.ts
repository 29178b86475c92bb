// Shapes that several resources share.

import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { ERRORS, type ErrorCode } from '../errors.ts'

/** RFC 9457. `code` says which one it is; further members depend on it and are named in docs/reference/errors.md. */
const Problem = Type.Object(
  {
    type: Type.String({ format: 'uri', description: '`urn:annals:problem:<code>`' }),
    title: Type.String(),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    code: Type.Unsafe<ErrorCode>({ type: 'string', enum: Object.keys(ERRORS) }),
    detail: Type.String({ description: 'What is wrong with this request.' }),
    request_id: Type.String({ description: 'As in the header `X-Request-Id` and in the log.' }),
    retryable: Type.Boolean({ description: 'Whether the same request can succeed later.' }),
    outcome: Type.Unsafe<'not_applied' | 'applied' | 'unknown'>({
      type: 'string',
      enum: ['not_applied', 'applied', 'unknown'],
      description: 'What became of the write; `unknown` is settled by a retry with the same event ids.',
    }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: Type.String({
            description: 'A JSON pointer into the body, or `query/<name>`, `path/<name>`, `header/<name>`.',
          }),
          rule: Type.String({ description: 'What does not hold, such as `out_of_range` or `required`.' }),
          choices: Type.Optional(
            Type.Array(Type.Unknown(), { description: 'The allowed values, with the rule `not_a_choice`.' }),
          ),
        }),
      ),
    ),
  },
  {
    $id: 'Problem',
    description: 'Every answer that is not a success; some codes have further members.',
    additionalProperties: true,
  },
)

/** Members of the problems of a route, to be spread into `schema.response`: one response per status, with its codes. */
export function problems(...codes: ErrorCode[]): Record<number, TSchema> {
  const responses: Record<number, TSchema> = {}
  for (const code of codes) {
    const { status } = ERRORS[code]
    const known = (responses[status]?.[PROBLEM_CODES] ?? []) as ErrorCode[]
    responses[status] = Type.Unsafe<Static<typeof Problem>>({ [PROBLEM_CODES]: [...known, code] })
  }
  // A conflict has a second status: the header decides.
  if (codes.includes('version_conflict')) {
    responses[412] = Type.Unsafe<Static<typeof Problem>>({ [PROBLEM_CODES]: ['version_conflict'] })
  }
  return responses
}

/** Marks a response schema as problems with these codes; src/http/openapi.ts writes them out with examples. */
const PROBLEM_CODES = 'x-problem-codes'

/** Schemas with an `$id` that any route may refer to. */
export const SHARED_SCHEMAS: TSchema[] = [Problem]
