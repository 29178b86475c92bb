// What the routes of consumers share: names, descriptions, problems.

import { type TSchema, Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { type ErrorCode, validationFailed } from '../errors.ts'
import { CONSUMER_NAME, ConsumerParams } from './consumer-schemas.ts'
import { MAX_PAGE_EVENTS, READ_PROBLEMS } from './read-parameters.ts'
import { problems } from './schemas.ts'

const NAME = new RegExp(CONSUMER_NAME)

/** What every change of a consumer can fail with. */
export const WRITE_PROBLEMS = [
  'busy',
  'database_read_only',
  'database_full',
  'commit_outcome_unknown',
  ...READ_PROBLEMS,
] as const

export const consumerLimit = Type.Optional(
  Type.Integer({ minimum: 1, maximum: MAX_PAGE_EVENTS, description: 'Most events of the page; 100 when absent.' }),
)

/** Configuration and schema of a route below `/consumers/{name}`; `parts` are the further members of its schema. */
export const consumerRoute = (
  scope: 'read' | 'append',
  operationId: string,
  summary: string,
  description: string,
  parts: { body?: TSchema; querystring?: TSchema; response: Record<number, unknown> },
) => ({
  config: { scope, isNeverCached: true } as const,
  schema: { operationId, tags: ['consumers'], summary, description, params: ConsumerParams, ...parts },
})

/** The responses of such a route. */
export const consumerAnswers = <T extends object>(success: Record<number, T>, ...codes: ErrorCode[]) => ({
  ...success,
  ...problems('consumer_not_found', ...codes),
})

/** Refers to a schema that is registered under its `$id`. */
export const ref = (schema: { $id?: string }) => Type.Ref(schema.$id as string)

/** The name in the path. @throws AppError `validation_failed` */
export function consumerName(request: FastifyRequest): string {
  const { name } = request.params as { name: string }
  if (!NAME.test(name)) throw validationFailed([{ pointer: 'path/name', rule: 'not_well_formed' }])
  return name
}
