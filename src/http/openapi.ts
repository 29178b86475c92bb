// The OpenAPI document: what routes declare, plus what the edge adds to every one of them.

import { STATUS_CODES } from 'node:http'
import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import type { FastifyInstance, FastifySchema } from 'fastify'
import { ERRORS, type ErrorCode } from '../errors.ts'
import { exampleOf, type Json, STREAMS } from './openapi-examples.ts'
import { PREFIX_PARAMETERS } from './query.ts'

/** What the edge needs to know about a route to complete its description. */
interface EdgeNotes {
  scopes: string[]
  takesBody: boolean
  isAlwaysOpen: boolean
  isUnlimited: boolean
  isBodyOptional: boolean
  ignoresParameters: boolean
  bodyTypes: readonly string[] | undefined
  streamTypes: readonly string[]
  prefixParameters: Record<string, { description?: string }>
}

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
              'A token of `ANNALS_TOKENS`, or a JSON Web Token signed with `JWT_SECRET`. Without any of them configured the service listens on loopback only, and needs none.',
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
  '`If-Match` and `If-None-Match` are read where the route says so; others that change something refuse them.',
  'Every answer that is not a success is `application/problem+json` (RFC 9457) with a `code`.',
  'Every `GET` route answers `HEAD`, and every path `OPTIONS`.',
].join(' ')

const TAGS = [
  { name: 'append', description: 'Store events.' },
  { name: 'read', description: 'Read events, streams and the feed of all events.' },
  { name: 'snapshots', description: 'Keep the state of a stream, and rebuild it from there.' },
  { name: 'consumers', description: 'Positions that the server keeps, for one reader or several members.' },
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
    isUnlimited: config.isUnlimited === true,
    ignoresParameters: querystring?.['additionalProperties'] === true,
    bodyTypes: config.bodyTypes,
    streamTypes: config.streamTypes ?? [],
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
    isUnlimited?: boolean
    bodyTypes?: readonly string[]
    streamTypes?: readonly string[]
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

  const success = operation.responses['200']?.['content'] as Record<string, Json> | undefined
  for (const type of notes.streamTypes) if (success !== undefined) success[type] = STREAMS[type] as Json

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
  if (!notes.isUnlimited) add('rate_limited')
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
      ...(codes.includes('rate_limited') ? { RateLimit: { schema: { type: 'string' } } } : {}),
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
