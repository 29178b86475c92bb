// The description of the API is the API: every route is in it, and every answer.

import type { RouteOptions } from 'fastify'
import t from 'tap'
import { ERRORS, type ErrorCode } from '../../src/errors.ts'
import { buildOpenApi } from '../../src/openapi-document.ts'
import { buildTestApp } from '../support/app.ts'

interface Media {
  schema?: Record<string, unknown>
  examples?: Record<string, { value: Record<string, unknown> }>
}
interface Operation {
  operationId: string
  summary: string
  tags: string[]
  security: unknown[]
  parameters?: { name: string; in: string; schema: unknown; description?: string }[]
  requestBody?: { required: boolean; content: Record<string, Media> }
  responses: Record<string, { description: string; content?: Record<string, Media> }>
}
interface Document {
  openapi: string
  tags: { name: string }[]
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, unknown> }
}

const PROBLEM = 'application/problem+json'
const document = JSON.parse(await buildOpenApi()) as Document
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
)

/** Codes that an operation can answer with, by status. */
function codesOf(operation: Operation, status: number): string[] {
  const response = operation.responses[String(status)] ?? operation.responses['default']
  return Object.keys(response?.content?.[PROBLEM]?.examples ?? {})
}

t.test('it is OpenAPI 3.1 and names every route', async (t) => {
  t.equal(document.openapi, '3.1.0')
  const routes: RouteOptions[] = []
  const { app } = await buildTestApp({ onRoute: (route) => routes.push(route) })
  t.teardown(() => app.close())
  await app.ready()
  const real = routes
    .filter(({ method, url }) => typeof method === 'string' && method !== 'HEAD' && !url.startsWith('/docs'))
    .map(({ method, url }) => `${String(method)} ${url.replace(/:(\w+)/g, '{$1}')}`)
  t.same(operations.map(({ name }) => name).sort(), real.sort())
  const served = await app.inject({ method: 'GET', url: '/openapi.json' })
  t.same(Object.keys(served.json().paths), Object.keys(document.paths), 'and it is what the service serves')
})

t.test('every operation is described whole', async (t) => {
  const ids = operations.map(({ operation }) => operation.operationId)
  t.equal(new Set(ids).size, ids.length, 'operation ids are unique')
  const tags = document.tags.map(({ name }) => name)
  for (const { name, operation } of operations) {
    t.ok(operation.summary, `${name} has a summary`)
    t.ok(operation.tags.length === 1 && tags.includes(operation.tags[0] as string), `${name} has a known tag`)
    t.ok(Array.isArray(operation.security), `${name} says whether it needs a token`)
    const inPath = [...name.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter)
    const described = (operation.parameters ?? []).filter((each) => each.in === 'path').map((each) => each.name)
    t.same(described, inPath, `${name} describes its path`)
    t.ok(
      Object.keys(operation.responses).some((status) => /^[23]/.test(status)),
      `${name} describes its success`,
    )
    for (const [status, { description }] of Object.entries(operation.responses)) {
      t.ok(description && description !== 'Default Response', `${name} ${status} has a description`)
    }
  }
})

t.test('every problem has an example that is what the service would answer', async (t) => {
  const shown = new Set<string>()
  for (const { name, operation } of operations) {
    for (const [status, { content = {} }] of Object.entries(operation.responses)) {
      if (/^[23]/.test(status)) continue
      const { schema, examples = {} } = content[PROBLEM] as Media
      t.same(schema, { $ref: '#/components/schemas/Problem' }, `${name} ${status}`)
      for (const [code, { value }] of Object.entries(examples)) {
        shown.add(code)
        t.equal(value['code'], code, `${name} ${status} ${code}`)
        t.equal(value['type'], `urn:annals:problem:${code}`)
        t.equal(value['title'], ERRORS[code as ErrorCode].title)
        if (status !== 'default') t.equal(value['status'], Number(status), `${name} ${code}`)
      }
    }
  }
  // What an operation can't be answered with.
  const nowhere = Object.keys(ERRORS).filter((code) => !shown.has(code))
  t.same(nowhere, ['route_not_found', 'method_not_allowed'], 'every other code is shown somewhere')
})

t.test('every reference leads somewhere', async (t) => {
  const text = JSON.stringify(document)
  const references = [...text.matchAll(/"\$ref":"([^"]*)"/g)].map(([, target]) => target as string)
  t.ok(references.length > 20)
  for (const target of new Set(references)) {
    const name = /^#\/components\/schemas\/(\w+)$/.exec(target)?.[1] ?? target
    t.ok(name in document.components.schemas, target)
  }
  t.notMatch(text, /x-edge-notes|x-problem-codes|x-prefix-parameters|def-\d/)
})

t.test('real answers are among the described ones', async (t) => {
  const { app } = await buildTestApp()
  t.teardown(() => app.close())
  const json = { 'content-type': 'application/json' }
  const event = { id: '0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f', type: 'A', data: 1 }
  const cases: [method: 'GET' | 'POST', url: string, path: string, body?: unknown, headers?: Record<string, string>][] =
    [
      ['POST', '/streams/s/events', '/streams/{stream_id}/events', { events: [event] }],
      ['POST', '/streams/s/events', '/streams/{stream_id}/events', { expected_version: 0, events: [{ type: 'A' }] }],
      ['POST', '/streams/s/events', '/streams/{stream_id}/events', { events: [{ ...event, data: 2 }] }],
      ['POST', '/streams/s/events', '/streams/{stream_id}/events', { events: [{ type: 'A', data: '\0' }] }],
      ['POST', '/streams/s/events', '/streams/{stream_id}/events', { events: [{ type: 'A' }] }, { 'if-match': '"9"' }],
      ['POST', '/streams/s/events', '/streams/{stream_id}/events', { events: [] }],
      ['POST', '/streams/s/events', '/streams/{stream_id}/events', {}, { 'content-type': 'text/plain' }],
      ['POST', '/streams/%00/events', '/streams/{stream_id}/events', { events: [{ type: 'A' }] }],
      [
        'POST',
        '/streams/s/events',
        '/streams/{stream_id}/events',
        { events: [{ type: 'A', data: 'x'.repeat(1_100_000) }] },
      ],
      ['POST', '/events', '/events', { appends: [{ stream_id: 't', events: [{ type: 'A' }] }] }],
      ['POST', '/events', '/events', { appends: [{ stream_id: 't', events: [{ type: 'A' }] }], atomic: false }],
      ['POST', '/events', '/events', { appends: [{ stream_id: 't', expected_version: 9, events: [{ type: 'A' }] }] }],
      ['GET', '/streams/s/events', '/streams/{stream_id}/events'],
      ['GET', '/streams/none/events', '/streams/{stream_id}/events'],
      ['GET', '/streams/s/events', '/streams/{stream_id}/events', undefined, { accept: 'text/html' }],
      ['GET', '/streams/s/events', '/streams/{stream_id}/events', undefined, { 'if-none-match': '"1"' }],
      ['GET', '/streams/s', '/streams/{stream_id}'],
      ['GET', '/streams?limit=0', '/streams'],
      ['GET', '/events?after=x', '/events'],
      ['GET', '/events', '/events'],
      ['GET', '/events', '/events', undefined, { accept: 'application/x-ndjson' }],
      ['GET', '/streams/s/events', '/streams/{stream_id}/events', undefined, { accept: 'application/x-ndjson' }],
      ['GET', '/events/nonsense', '/events/{event_id}'],
      ['GET', '/events/0190c6f2-7c1e-7cc3-98c4-dc0c0c073000', '/events/{event_id}'],
      ['GET', '/migrations', '/migrations'],
      ['GET', '/pool/sizing?buffer=-1', '/pool/sizing'],
      ['GET', '/metrics', '/metrics'],
      ['GET', '/metrics', '/metrics', undefined, { accept: 'text/html' }],
      ['GET', '/health', '/health'],
    ]
  for (const [method, url, path, body, headers = {}] of cases) {
    const answer = await app.inject({
      method,
      url,
      headers: body === undefined ? headers : { ...json, ...headers },
      ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
    })
    const operation = document.paths[path]?.[method.toLowerCase()] as Operation
    const { statusCode: status } = answer
    const title = `${method} ${url} ${JSON.stringify(headers)} ${status}`
    if (status < 400) {
      const [type] = String(answer.headers['content-type'] ?? '').split(';')
      t.ok(operation.responses[String(status)], title)
      if (status !== 304) t.ok(type && operation.responses[String(status)]?.content?.[type], `${title} ${type}`)
    } else {
      t.ok(codesOf(operation, status).includes(answer.json().code), `${title} ${answer.json().code}`)
    }
  }
})

t.test('the example of an append is an answer to a first one', async (t) => {
  const { app } = await buildTestApp()
  t.teardown(() => app.close())
  const payload = JSON.stringify({ expected_version: 0, events: [{ type: 'OrderPlaced' }] })
  const headers = { 'content-type': 'application/json' }
  const answer = await app.inject({ method: 'POST', url: '/streams/order-123/events', headers, payload })
  const { examples } = document.components.schemas['Appended'] as { examples: Record<string, unknown>[] }
  const { event_ids: ids, created_at: time, ...example } = examples[0] as { event_ids: string[]; created_at: string }
  const { event_ids: _ids, created_at: _time, ...answered } = answer.json()
  t.same(example, answered)
  t.equal(ids.length, 1)
  t.match(time, /\.\d{6}Z$/, 'microseconds')
})
