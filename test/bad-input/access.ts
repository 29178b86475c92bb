// Who may do what, and by which methods.

import { type Case, head, JSON_TYPE, ONE_EVENT, ok } from './case.ts'

/** A request with headers of its own instead of the admin's token. */
const as = (headers: string, line = 'GET /events HTTP/1.1', body = '') =>
  `${line}\r\nHost: $HOST\r\n${headers}${body && `${JSON_TYPE}Content-Length: $LENGTH\r\n`}\r\n${body}`
const bearer = (token: string) => `Authorization: Bearer ${token}\r\n`
const nobody: Case[1] = [401, 'unauthenticated']
const forbidden: Case[1] = [403, 'forbidden']
const noMethod: Case[1] = [405, 'method_not_allowed']
const allowed: Case[1] = [204, null]
const APPEND = 'POST /streams/$NEW/events HTTP/1.1'
const needsTokens = { needsTokens: true } as const

const TOKENS: Case[] = [
  ['no token', nobody, as('')],
  ['an empty header', nobody, as('Authorization:\r\n')],
  ['the scheme alone', nobody, as('Authorization: Bearer\r\n')],
  ['the scheme and a blank', nobody, as('Authorization: Bearer \r\n')],
  ['another token', nobody, as(bearer('another-token-0123456789'))],
  ['a token of 8,000 letters', nobody, as(bearer('a'.repeat(8_000)))],
  ['a token with a tail', nobody, as(bearer('$READx'))],
  ['a token in quotes', nobody, as(bearer('"$READ"'))],
  ['two tokens', nobody, as(bearer('$READ, $READ'))],
  ['a token after another', nobody, as(bearer('x $READ'))],
  ['a token with NUL', [400, 'malformed_request'], as(bearer('a\x00b'))],
  [
    'a token above ASCII',
    nobody,
    as(bearer('\xe4\xf6\xfc\xe4\xf6\xfc\xe4\xf6\xfc\xe4\xf6\xfc\xe4\xf6\xfc\xe4\xf6\xfc')),
  ],
  ['a token behind 3,000 headers', ok, as(`${'a:\r\n'.repeat(3_000)}${bearer('$READ')}`)],
  ['another token behind 3,000 headers', nobody, as(`${'a:\r\n'.repeat(3_000)}${bearer('another-token-0123456789')}`)],
  [
    'a token behind more headers than are read',
    [431, 'headers_too_large'],
    as(`${'abcd:e\r\n'.repeat(4_000)}${bearer('$READ')}`),
  ],
  ['two headers', [400, 'malformed_request'], as(bearer('$READ') + bearer('$READ'))],
  ['a password', nobody, as('Authorization: Basic YWRtaW46YWRtaW4=\r\n')],
  ['a token by another scheme', nobody, as('Authorization: Token $READ\r\n')],
  ['a token without a scheme', nobody, as('Authorization: $READ\r\n')],
  ['a token in the query', nobody, as('', 'GET /events?access_token=$READ HTTP/1.1')],
  ['a token in a cookie', nobody, as('Cookie: token=$READ\r\n')],
  ['a token of no algorithm', nobody, as(bearer('eyJhbGciOiJub25lIn0.eyJzY29wZSI6ImFkbWluIn0.'))],
  ['the scheme in capitals', ok, as('Authorization: BEARER $READ\r\n')],
  ['appending without a token', nobody, as('', APPEND, ONE_EVENT)],
  ['appending what is no JSON, without a token', nobody, as('', APPEND, '{')],
  ['appending with a token to read', forbidden, as(bearer('$READ'), APPEND, ONE_EVENT)],
  ['appending with a token for metrics', forbidden, as(bearer('$METRICS'), APPEND, ONE_EVENT)],
  ['reading with a token to append', forbidden, as(bearer('$APPEND'))],
  ['reading with a token for metrics', forbidden, as(bearer('$METRICS'))],
  ['metrics with a token for metrics', ok, as(bearer('$METRICS'), 'GET /metrics HTTP/1.1')],
  ['metrics with a token to append', forbidden, as(bearer('$APPEND'), 'GET /metrics HTTP/1.1')],
  ['metrics without a token', nobody, as('', 'GET /metrics HTTP/1.1')],
  ['the pool with a token to read', forbidden, as(bearer('$READ'), 'GET /pool HTTP/1.1')],
  ['the size of the pool with a token to append', forbidden, as(bearer('$APPEND'), 'GET /pool/sizing HTTP/1.1')],
  ['migrations with a token to read', forbidden, as(bearer('$READ'), 'GET /migrations HTTP/1.1')],
  [
    'migrating with a token to append',
    forbidden,
    as(bearer('$APPEND'), 'POST /migrations HTTP/1.1', '{"dry_run":true}'),
  ],
  ['importing with a token to read', forbidden, as(bearer('$READ'), 'POST /import HTTP/1.1', '{}')],
  [
    'a snapshot with a token to read',
    forbidden,
    as(bearer('$READ'), 'PUT /streams/$STREAM/snapshot HTTP/1.1', '{"version":1,"state":1}'),
  ],
  ['deleting a consumer with a token to read', forbidden, as(bearer('$READ'), 'DELETE /consumers/$CONSUMER HTTP/1.1')],
  ['HEAD without a token', [401, null], as('', 'HEAD /events HTTP/1.1')],
  ['Server-Sent Events without a token', nobody, as('Accept: text/event-stream\r\n')],
  ['a bad query without a token', nobody, as('', 'GET /events?limit=x HTTP/1.1')],
].map(([name, answer, request]) => [name, answer, request, needsTokens] as Case)

const OPEN: Case[] = ['/health', '/health/live', '/health/ready', '/livez', '/readyz', '/openapi.json', '/docs'].map(
  (path) => [`${path} without a token`, ok, as('', `GET ${path} HTTP/1.1`)],
)

const METHODS: Case[] = [
  ['OPTIONS without a token', allowed, as('', 'OPTIONS /events HTTP/1.1')],
  ['OPTIONS of what needs a parameter', allowed, head('OPTIONS /streams/a%2Fb/events?x=1 HTTP/1.1')],
  ['OPTIONS of nothing', [404, 'route_not_found'], head('OPTIONS /nowhere HTTP/1.1')],
  ['DELETE of the feed', noMethod, head('DELETE /events HTTP/1.1')],
  ['DELETE of a stream', noMethod, head('DELETE /streams/$STREAM HTTP/1.1')],
  ['DELETE of the events of a stream', noMethod, head('DELETE /streams/$STREAM/events HTTP/1.1')],
  [
    'PUT of the events of a stream',
    noMethod,
    `${head('PUT /streams/$STREAM/events HTTP/1.1', `${JSON_TYPE}Content-Length: $LENGTH\r\n`)}${ONE_EVENT}`,
  ],
  ['PATCH of an event', noMethod, head('PATCH /events/$EVENT1 HTTP/1.1')],
  ['POST to a stream', noMethod, head('POST /streams/$STREAM HTTP/1.1')],
  ['POST to health', noMethod, head('POST /health HTTP/1.1')],
  ['POST to a snapshot', noMethod, head('POST /streams/$STREAM/snapshot HTTP/1.1')],
  ['GET of an import', noMethod, head('GET /import HTTP/1.1')],
  ['GET of a claim', noMethod, head('GET /consumers/$CONSUMER/claim HTTP/1.1')],
  ['HEAD of an import', [405, null], head('HEAD /import HTTP/1.1')],
  ['PUT of the pool', noMethod, head('PUT /pool HTTP/1.1')],
  ['TRACE', noMethod, head('TRACE /events HTTP/1.1')],
  ['PROPFIND', noMethod, head('PROPFIND /events HTTP/1.1')],
  ['QUERY', noMethod, `${head('QUERY /events HTTP/1.1', `${JSON_TYPE}Content-Length: $LENGTH\r\n`)}{}`],
  ['PURGE', noMethod, head('PURGE /events HTTP/1.1')],
  ['DELETE without a token', noMethod, as('', 'DELETE /events HTTP/1.1')],
  ['HEAD of the feed', ok, head('HEAD /events HTTP/1.1')],
  ['HEAD of a stream that is not there', [404, null], head('HEAD /streams/$NEW/events HTTP/1.1')],
  ['HEAD of nothing', [404, null], head('HEAD /nowhere HTTP/1.1')],
  [
    'PATCH of nothing, with a body that is none',
    [404, 'route_not_found'],
    `${head('PATCH /nowhere HTTP/1.1', `${JSON_TYPE}Content-Length: 1\r\n`)}{`,
  ],
]

export const ACCESS: Case[] = [...TOKENS, ...OPEN, ...METHODS]
