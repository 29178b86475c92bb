// JSON Web Tokens beside the tokens of the list. Tokens are signed here by hand, so that each can be wrong in one way.

import { createHmac, generateKeyPairSync, sign as signWith } from 'node:crypto'
import t from 'tap'
import { loadSettings } from '../../src/config.ts'
import { tokenAuthorizer } from '../../src/http/authorizer.ts'
import { Jwts } from '../../src/http/jwts.ts'
import { digestOf, Tokens } from '../../src/http/tokens.ts'
import { openLog } from '../../src/logger.ts'
import { startService } from '../../src/service.ts'
import { buildTestApp } from '../support/app.ts'
import type { Teardown } from '../support/postgres.ts'

const SECRET = 'a-secret-of-thirty-two-characters'
const LISTED = 'listed-token-0123456789'
const NOW = Math.floor(Date.now() / 1000)
const HOUR = 3_600

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const HMACS: Record<string, string> = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' }

function sign(
  claims: object,
  { header = { alg: 'HS256', typ: 'JWT' }, secret = SECRET, hmac = 'sha256' } = {},
): string {
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${createHmac(hmac, secret).update(input).digest('base64url')}`
}

const good = { exp: NOW + HOUR, iat: NOW, scope: 'read' }

const openApp = async (t: Teardown) => {
  const jwts = new Jwts({ secret: SECRET, maxLifetimeHours: 24 })
  const { app } = await buildTestApp({
    parts: { authorizer: tokenAuthorizer(new Tokens({ list: `read:${LISTED}` }), jwts) },
  })
  t.teardown(() => app.close())
  return async (token: string, url = '/events', method: 'GET' | 'POST' = 'GET') => {
    const answer = await app.inject({ method, url, headers: { authorization: `Bearer ${token}` } })
    const problem = answer.statusCode >= 400 ? (answer.json() as { code: string; detail: string }) : undefined
    return { status: answer.statusCode, ...problem, header: answer.headers['www-authenticate'] }
  }
}

t.test('a token opens what its scopes name', async (t) => {
  const ask = await openApp(t)
  t.equal((await ask(LISTED)).status, 200, 'tokens of the list work as before')
  t.equal((await ask(sign(good))).status, 200)
  t.equal((await ask(sign(good))).status, 200, 'and again, now that it is known')
  t.match(await ask(sign(good), '/pool'), { status: 403, code: 'forbidden' })
  t.match(await ask(sign(good), '/events', 'POST'), { status: 403, code: 'forbidden' })
  t.equal((await ask(sign({ ...good, scope: 'append read' }), '/events', 'POST')).status, 400, 'several scopes')
  t.equal((await ask(sign({ ...good, scope: 'openid read orders:write' }))).status, 200, 'and those of others')
  t.equal((await ask(sign({ ...good, scope: 'admin' }), '/events', 'POST')).status, 400, 'admin includes all')
  t.equal((await ask(sign({ exp: good.exp, scope: 'read' }))).status, 200, 'without iat')
  for (const scope of [undefined, '', 'READ', 'read,append', ['read'], { read: true }, 7]) {
    t.match(await ask(sign({ ...good, scope })), { status: 403 }, `scope ${JSON.stringify(scope)} opens nothing`)
  }
})

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ecInput = `${encode({ alg: 'ES256' })}.${encode(good)}`
const [HEADER, PAYLOAD, SIGNATURE] = sign(good).split('.') as [string, string, string]

const REFUSED: [title: string, token: string, detail?: RegExp][] = [
  ['one without a signature that says alg none', `${encode({ alg: 'none' })}.${PAYLOAD}.`],
  ['the same with a signature', sign(good, { header: { alg: 'none', typ: 'JWT' } })],
  ['None, which some read as none', `${encode({ alg: 'None' })}.${PAYLOAD}.`],
  ['one whose signature was cut off', `${HEADER}.${PAYLOAD}.`],
  ['one with another payload', `${HEADER}.${encode({ ...good, scope: 'admin' })}.${SIGNATURE}`],
  ['one with another header', `${encode({ alg: 'HS256', kid: 'x' })}.${PAYLOAD}.${SIGNATURE}`],
  ['one signed with another secret', sign(good, { secret: `${SECRET}x` })],
  ['one signed with no secret', sign(good, { secret: '' })],
  ...['HS384', 'HS512'].map((alg): [string, string] => [
    `one signed by ${alg} with our secret`,
    sign(good, { header: { alg, typ: 'JWT' }, hmac: HMACS[alg] as string }),
  ]),
  ['one that says RS256 and is signed by HMAC', sign(good, { header: { alg: 'RS256', typ: 'JWT' } })],
  ['one signed by ES256', `${ecInput}.${signWith('sha256', Buffer.from(ecInput), privateKey).toString('base64url')}`],
  [
    'one with an extension that must be understood',
    sign(good, { header: { alg: 'HS256', crit: ['x'], x: 1 } as never }),
  ],
  ['one without alg', sign(good, { header: { typ: 'JWT' } as never })],
  ['one in the base64 of mail', `${HEADER}.${PAYLOAD}.${Buffer.from(SIGNATURE, 'base64url').toString('base64')}`],
  ['one with a fourth part', `${HEADER}.${PAYLOAD}.${SIGNATURE}.`],
  ['one with garbage', `${HEADER}.e30x.${SIGNATURE}`],
  ['dots', '..'],
  ['claims that are no object', sign([] as object)],
  ['one that expired', sign({ ...good, iat: NOW - HOUR, exp: NOW - 1 }), /has expired/],
  ['one that expired long ago', sign({ ...good, iat: NOW - 99 * HOUR, exp: NOW - 98 * HOUR }), /has expired/],
  ['one without an expiry', sign({ scope: 'read' }), /when it expires/],
  ['one whose expiry is text', sign({ ...good, exp: String(good.exp) })],
  ['one whose expiry is null', sign({ ...good, exp: null })],
  ['one that is not valid yet', sign({ ...good, nbf: NOW + 60 }), /not valid yet/],
  ['one issued in the future', sign({ ...good, iat: NOW + 60 }), /not valid yet/],
  ['one that lives too long', sign({ ...good, exp: NOW + 25 * HOUR }), /longer than 24 hours/],
  ['the same without iat', sign({ exp: NOW + 25 * HOUR, scope: 'read' }), /longer than 24 hours/],
  ['one that lived too long and is about to expire', sign({ ...good, iat: NOW - 24 * HOUR }), /longer than 24 hours/],
]

t.test('everything else is 401', async (t) => {
  const ask = await openApp(t)
  for (const [title, token, detail = /no token that is known here/] of REFUSED) {
    for (const time of ['', ', asked again']) {
      t.match(await ask(token), { status: 401, code: 'unauthenticated', header: 'Bearer', detail }, `${title}${time}`)
    }
  }
  t.equal((await ask(sign({ ...good, nbf: NOW + 3 }))).status, 200, 'a clock that is a little ahead is borne')
})

t.test('a token that was known ends with its expiry', async (t) => {
  const jwts = new Jwts({ secret: SECRET, maxLifetimeHours: 24 })
  const token = sign({ exp: NOW + 60, iat: NOW, scope: 'read' })
  const digest = digestOf(token)
  t.match(jwts.read(token, digest, NOW * 1000), { grant: new Set(['read']) })
  t.match(jwts.read('what is known is not verified again', digest, (NOW + 59) * 1000), { grant: new Set(['read']) })
  t.equal(jwts.read(token, digest, (NOW + 60) * 1000), 'The token has expired.')
})

t.test('a caller with a new token is the same caller', async (t) => {
  const jwts = new Jwts({ secret: SECRET, maxLifetimeHours: 24 })
  const keyOf = (claims: object) => {
    const token = sign({ ...good, ...claims })
    const caller = jwts.read(token, digestOf(token))
    return typeof caller === 'object' ? caller.key : undefined
  }
  t.equal(keyOf({ sub: 'billing' }), keyOf({ sub: 'billing', exp: NOW + 2 * HOUR }))
  t.not(keyOf({ sub: 'billing' }), keyOf({ sub: 'orders' }))
  t.not(keyOf({}), keyOf({ exp: NOW + 2 * HOUR }), 'without a name each token is one')
  t.match(keyOf({ sub: 'x'.repeat(500) }), /^token:[0-9a-f]{32}$/, 'and with one that is too long')
})

t.test('JWT_SECRET alone is enough to listen to others, if it is long enough', async (t) => {
  t.throws(() => loadSettings({ JWT_SECRET: 'x'.repeat(31) }), {
    message: 'JWT_SECRET must be 32 characters or more',
  })
  t.throws(() => loadSettings({ JWT_SECRET: SECRET, JWT_EXPIRATION_HOURS: '25' }), /whole number from 1 to 24/)
  const { settings } = loadSettings({
    HOST: '0.0.0.0',
    PORT: '0',
    JWT_SECRET: SECRET,
    JWT_EXPIRATION_HOURS: '1',
    DATABASE_URL: 'postgres://127.0.0.1:1/x',
  })
  const service = await startService({ settings, log: openLog({ LOG_LEVEL: 'silent' }, { write: () => {} }) })
  t.teardown(() => service.close())
  const status = async (headers: Record<string, string>) =>
    (await fetch(`${service.url}/migrations`, { headers })).status
  t.equal(await status({}), 401)
  t.equal(await status({ authorization: `Bearer ${sign({ ...good, scope: 'admin' })}` }), 503, 'let in')
  t.equal(await status({ authorization: `Bearer ${sign({ ...good, exp: NOW + 2 * HOUR })}` }), 401, 'too long for here')
})
