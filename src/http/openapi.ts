// The OpenAPI document: what routes declare, plus what the edge adds to every one of them.

import { STATUS_CODES } from 'node:http'
import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import type { FastifyInstance, FastifySchema } from 'fastify'
import { AppError, ERRORS, type ErrorCode, toProblem } from '../errors.ts'
import { PREFIX_PARAMETERS } from './query.ts'

/** What the edge needs to know about a route to complete its description. */
interface EdgeNotes {
  scopes: string[]
  takesBody: boolean
  isAlwaysOpen: boolean
  isBodyOptional: boolean
  ignoresParameters: boolean
  bodyTypes: readonly string[] | undefined
  prefixParameters: Record<string, { description?: string }>
}

type Json = Record<string, unknown>
interface Operation extends Json {
  parameters?: Json[]
  responses: Record<string, Json>
  requestBody?: { required?: boolean; content: Record<string, Json> }
  security?: Json[]
}

const NOTES = 'x-edge-notes'
// What the generator writes when a schema says nothing.
const NO_DESCRIPTION = 'Default Response'
const CODES = 'x-problem-codes'
const REQUEST_ID = 'req-7f3a'

// What any request can be answered with before a route sees it.
const PROTOCOL: ErrorCode[] = [
  'malformed_request',
  'request_timeout',
  'uri_too_long',
  'expectation_failed',
  'headers_too_large',
  'http_version_not_supported',
  'internal',
]

/** Collects the routes that are registered after it. */
export async function describeRoutes(app: FastifyInstance, version: string): Promise<void> {
  const options: FastifyDynamicSwaggerOptions = {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Annals',
        version,
        summary: 'An event store with an HTTP API on PostgreSQL',
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } as never,
      },
      servers: [{ url: '/' }],
      tags: TAGS,
      components: {
        securitySchemes: {
          token: {
            type: 'http',
            scheme: 'bearer',
            description:
              'A token of `ANNALS_TOKENS`. Without any token configured the service listens on loopback only, and needs none.',
          },
        },
      },
    },
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, i) => (typeof $id === 'string' ? $id : `def-${i}`),
    },
    convertConstToEnum: false,
    transform: ({ schema, url, route }) => ({ schema: withNotes(schema, route as RouteNotes), url }),
    transformObject: (document) => complete((document as { openapiObject: Json }).openapiObject) as never,
  }
  await app.register(swagger, options)
}

const DESCRIPTION = [
  'Append, read and follow events over REST.',
  'Names are snake_case; `position` and `version` are contiguous integers from 1.',
  'Input is strict: unknown members, unknown or repeated parameters and coercion are refused.',
  'Every answer that is not a success is `application/problem+json` (RFC 9457) with a `code`.',
  'Every `GET` route answers `HEAD`, and every path `OPTIONS`.',
].join(' ')

const TAGS = [
  { name: 'append', description: 'Store events.' },
  { name: 'read', description: 'Read events, streams and the feed of all events.' },
  { name: 'snapshots', description: 'Keep the state of a stream, and rebuild it from there.' },
  { name: 'health', description: 'For probes.' },
  { name: 'operations', description: 'Migrations, pool and metrics.' },
  { name: 'documents', description: 'This description.' },
]

function withNotes(schema: FastifySchema | undefined, route: RouteNotes): FastifySchema {
  const config = route.config ?? {}
  const querystring = schema?.querystring as Json | undefined
  const notes: EdgeNotes = {
    scopes: [config.scope ?? []].flat() as string[],
    takesBody: schema?.body !== undefined || config.bodyTypes !== undefined,
    isAlwaysOpen: config.isAlwaysOpen === true,
    isBodyOptional: config.isBodyOptional === true,
    ignoresParameters: querystring?.['additionalProperties'] === true,
    bodyTypes: config.bodyTypes,
    prefixParameters: (querystring?.[PREFIX_PARAMETERS] ?? {}) as EdgeNotes['prefixParameters'],
  }
  const described = { ...schema, [NOTES]: notes } as FastifySchema & Json
  if (querystring !== undefined && Object.keys(querystring['properties'] as Json).length === 0) {
    delete described['querystring']
  }
  return described
}

interface RouteNotes {
  config?: {
    scope?: string | readonly string[] | null
    isAlwaysOpen?: boolean
    isBodyOptional?: boolean
    bodyTypes?: readonly string[]
  }
}

function complete(document: Json): Json {
  for (const path of Object.values(document['paths'] as Record<string, Record<string, Operation>>)) {
    for (const operation of Object.values(path)) completeOperation(operation)
  }
  return document
}

function completeOperation(operation: Operation): void {
  const notes = operation[NOTES] as EdgeNotes
  delete operation[NOTES]
  operation['security'] = notes.scopes.length === 0 ? [] : [{ token: [] }]
  if (notes.scopes.length > 0) {
    const scopes = `Needs a token of scope ${notes.scopes.map((scope) => `\`${scope}\``).join(' or ')}.`
    operation['description'] = [operation['description'], scopes].filter(Boolean).join('\n\n')
  }
  if (operation.requestBody !== undefined) operation.requestBody.required = !notes.isBodyOptional
  for (const [prefix, parameter] of Object.entries(notes.prefixParameters)) {
    operation.parameters = [...(operation.parameters ?? []), familyParameter(prefix, parameter)]
  }

  const codes = new Map<number, ErrorCode[]>()
  const add = (...added: ErrorCode[]) => {
    for (const code of added) {
      const { status } = ERRORS[code]
      codes.set(status, [...new Set([...(codes.get(status) ?? []), code])])
    }
  }
  add('malformed_request')
  for (const [status, response] of Object.entries(operation.responses)) {
    if (response['description'] === NO_DESCRIPTION) response['description'] = STATUS_CODES[status] ?? 'Success'
    const declared = codesOf(response)
    if (declared === undefined) continue
    delete operation.responses[status]
    codes.set(Number(status), [...new Set([...(codes.get(Number(status)) ?? []), ...declared])])
  }
  if (!notes.ignoresParameters) add('validation_failed')
  if (notes.scopes.length > 0) add('unauthenticated', 'forbidden')
  if (notes.takesBody) add('payload_too_large', 'unsupported_media_type')
  if (!notes.isAlwaysOpen) add('database_unavailable', 'shutting_down')
  for (const [status, each] of [...codes].sort(([a], [b]) => a - b)) {
    operation.responses[status] = problemResponse(each, status)
  }
  operation.responses['default'] = problemResponse(
    PROTOCOL,
    undefined,
    'Problems below any route: of HTTP itself, or a bug.',
  )
}

function codesOf(response: Json): ErrorCode[] | undefined {
  const content = response['content'] as Record<string, { schema?: Json }> | undefined
  return Object.values(content ?? {})[0]?.schema?.[CODES] as ErrorCode[] | undefined
}

// OpenAPI has no word for a family of query parameters; a free-form object in form style comes closest.
const familyParameter = (prefix: string, { description }: { description?: string }): Json => ({
  in: 'query',
  name: `${prefix}{key}`,
  required: false,
  ...(description === undefined ? {} : { description }),
  schema: { type: 'string' },
})

function problemResponse(codes: ErrorCode[], status?: number, description?: string): Json {
  return {
    description: description ?? codes.map((code) => ERRORS[code].title).join(', or: '),
    headers: {
      'X-Request-Id': { schema: { type: 'string' } },
      ...(codes.some((code) => ERRORS[code].retryable) ? { 'Retry-After': { schema: { type: 'integer' } } } : {}),
      ...(codes.includes('unauthenticated') ? { 'WWW-Authenticate': { schema: { type: 'string' } } } : {}),
    },
    content: {
      'application/problem+json': {
        schema: { $ref: '#/components/schemas/Problem' },
        examples: Object.fromEntries(
          codes.map((code) => [code, { summary: ERRORS[code].hint, value: exampleOf(code, status) }]),
        ),
      },
    },
  }
}

// Members that a problem has beside the standard ones, as the service answers them.
const MEMBERS: Partial<Record<ErrorCode, { detail: string; members: Json }>> = {
  validation_failed: {
    detail: 'limit must be a whole number from 1 to 1000.',
    members: { errors: [{ pointer: 'query/limit', rule: 'out_of_range' }] },
  },
  forbidden: { detail: 'The token lacks the scope append.', members: { scope: 'append' } },
  not_acceptable: {
    detail: 'This route answers with application/json.',
    members: { offered: ['application/json'] },
  },
  payload_too_large: {
    detail: 'The body is larger than 5242880 bytes.',
    members: { limit_bytes: 5_242_880 },
  },
  version_conflict: {
    detail: 'The stream order-123 is at version 6, not 4.',
    members: { stream_id: 'order-123', expected_version: 4, current_version: 6 },
  },
  unstorable_value: {
    detail: '/events/0/data/name: nul_character',
    members: { errors: [{ pointer: '/events/0/data/name', rule: 'nul_character' }] },
  },
  event_id_reused: {
    detail: 'One event id is already used for another event.',
    members: { event_ids: ['0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f'] },
  },
  snapshot_older: {
    detail: 'A snapshot of version 200 is stored.',
    members: { stream_id: 'order-123', version: 100, snapshot_version: 200 },
  },
  snapshot_ahead: {
    detail: 'The stream is at version 142, not at 200.',
    members: { stream_id: 'order-123', version: 200, current_version: 142 },
  },
  not_ready: { detail: 'The service is not ready: database.', members: { reasons: ['database'] } },
}

function exampleOf(code: ErrorCode, status = ERRORS[code].status): Json {
  const { detail, members } = MEMBERS[code] ?? { detail: `${ERRORS[code].title}.`, members: {} }
  return toProblem(new AppError(code, detail, { members, status }), REQUEST_ID)
}
