// Query strings and Accept: small languages of their own, read without guessing.

import { Type } from '@sinclair/typebox'
import fc from 'fast-check'
import t from 'tap'
import type { AppError } from '../../src/errors.ts'
import { negotiate } from '../../src/http/negotiate.ts'
import { compileQuery, PREFIX_PARAMETERS } from '../../src/http/query.ts'

const read = compileQuery(
  Type.Object(
    {
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
      after: Type.Optional(Type.Integer({ minimum: 0 })),
      direction: Type.Union([Type.Literal('forward'), Type.Literal('backward')], { default: 'forward' }),
      follow: Type.Optional(Type.Boolean()),
      seconds: Type.Optional(Type.Number({ minimum: 0.5, maximum: 60 })),
      type: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { maxItems: 3 })),
      prefix: Type.Optional(Type.String({ maxLength: 5 })),
      code: Type.Optional(Type.String({ pattern: '^[a-z]+$' })),
    },
    { [PREFIX_PARAMETERS]: { 'metadata.': Type.String() } },
  ),
)

const violations = (text: string): string[] => {
  try {
    read(text)
    return []
  } catch (error) {
    const { code, members } = error as AppError
    if (code !== 'validation_failed') throw error
    return (members['errors'] as { pointer: string; rule: string }[]).map(({ pointer, rule }) => `${pointer} ${rule}`)
  }
}

t.test('declared parameters are read as their types', async (t) => {
  t.same(read(''), { direction: 'forward' }, 'defaults')
  t.same(read('limit=10&after=0&direction=backward&follow=true&seconds=1.5'), {
    limit: 10,
    after: 0,
    direction: 'backward',
    follow: true,
    seconds: 1.5,
  })
  t.same(read('type=A&type=B')['type'], ['A', 'B'])
  t.same(read('type=A')['type'], ['A'], 'a repeatable one is an array even when it is there once')
  t.same(read('prefix=a%26+b&')['prefix'], 'a& b', 'percent-encoding and plus')
  t.same(read('after=9007199254740991')['after'], Number.MAX_SAFE_INTEGER)
  t.equal(read('metadata.a.b=x&metadata.%2b=y')['metadata.+'], 'y')
  t.equal(read('metadata.__proto__=x')['metadata.__proto__'], 'x')
  t.equal(({} as Record<string, unknown>)['x'], undefined)
})

t.test('everything else is refused with its place and its rule', async (t) => {
  const cases: [string, ...string[]][] = [
    ['limit=', 'query/limit not_an_integer'],
    ['limit', 'query/limit not_an_integer'],
    ['limit=01', 'query/limit not_an_integer'],
    ['limit=1.0', 'query/limit not_an_integer'],
    ['limit=1e2', 'query/limit not_an_integer'],
    ['limit=0x10', 'query/limit not_an_integer'],
    ['limit=%2B1', 'query/limit not_an_integer'],
    ['limit=-1', 'query/limit not_an_integer'],
    ['limit=+1', 'query/limit not_an_integer'],
    ['limit=1%20', 'query/limit not_an_integer'],
    ['limit=١', 'query/limit not_an_integer'],
    ['limit=0', 'query/limit out_of_range'],
    ['limit=1001', 'query/limit out_of_range'],
    ['after=9007199254740992', 'query/after out_of_range'],
    ['after=99999999999999999999', 'query/after not_an_integer'],
    ['limit=1&limit=1', 'query/limit repeated_parameter'],
    ['limit=1&%6cimit=1', 'query/limit repeated_parameter'],
    ['metadata.a=1&metadata.a=2', 'query/metadata.a repeated_parameter'],
    ['metadata.=1', 'query/metadata. unknown_parameter'],
    ['Limit=1', 'query/Limit unknown_parameter'],
    ['limit[]=1', 'query/limit[] unknown_parameter'],
    ['__proto__=1', 'query/__proto__ unknown_parameter'],
    ['=1', 'query/ unknown_parameter'],
    ['%zz=1', 'query/%zz unknown_parameter'],
    ['prefix=%zz', 'query/prefix bad_encoding'],
    ['prefix=%ff', 'query/prefix bad_encoding'],
    ['prefix=%', 'query/prefix bad_encoding'],
    ['prefix=%00', 'query/prefix nul_character'],
    ['metadata.%00=x', 'query/metadata.\0 nul_character'],
    ['prefix=toolong', 'query/prefix too_long'],
    ['code=A', 'query/code not_well_formed'],
    ['direction=sideways', 'query/direction not_a_choice'],
    ['direction=', 'query/direction not_a_choice'],
    ['follow=1', 'query/follow not_a_boolean'],
    ['follow', 'query/follow not_a_boolean'],
    ['seconds=NaN', 'query/seconds not_a_number'],
    ['seconds=61', 'query/seconds out_of_range'],
    ['type=', 'query/type too_short'],
    ['type=A&type=B&type=C&type=D', 'query/type too_many'],
    ['x=1&limit=0', 'query/x unknown_parameter', 'query/limit out_of_range'],
  ]
  for (const [text, ...expected] of cases) t.same(violations(text), expected, text)
})

t.test('a value that is none of the choices is told which there are', async (t) => {
  try {
    read('direction=sideways')
    t.fail('it was taken')
  } catch (error) {
    const choices = ['forward', 'backward']
    t.same((error as AppError).members['errors'], [{ pointer: 'query/direction', rule: 'not_a_choice', choices }])
    t.match((error as AppError).message, 'direction must be one of forward, backward.')
  }
})

t.test('a lenient schema ignores what it does not know', async (t) => {
  const lenient = compileQuery(Type.Object({}, { additionalProperties: true }))
  t.same(lenient('a=1&a=2&%zz&__proto__=x'), {})
})

t.test('no text makes it do anything but answer or refuse', async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        violations(text)
      }),
    ),
  )
})

t.test('a value that is encoded comes back', async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (value) => {
        if (value.includes('\0') || !value.isWellFormed()) return true
        return (read(`type=${encodeURIComponent(value)}`)['type'] as string[])[0] === value
      }),
    ),
  )
})

t.test('the media type is the one that Accept likes most', async (t) => {
  const json = 'application/json'
  const lines = 'application/x-ndjson'
  const choose = (accept?: string) => negotiate(accept, [json, lines])
  const cases: [string | undefined, string][] = [
    [undefined, json],
    ['', json],
    ['*/*', json],
    ['application/*', json],
    [lines, lines],
    ['Application/X-NDJSON', lines],
    [`${lines}, ${json}`, json],
    [`${json};q=0.5, ${lines}`, lines],
    [`${json}; q=0.5 , ${lines} ; q=0.4`, json],
    [`*/*;q=0.1, ${lines}`, lines],
    [`${json};q=0, */*`, lines],
    [`application/*;q=0, ${lines};q=0.1`, lines],
    ['text/html, application/xhtml+xml, */*;q=0.8', json],
    [`${json};charset=utf-8`, json],
    [`${lines};Q=1.000`, lines],
    ['not a type, */*', json],
  ]
  for (const [accept, expected] of cases) t.equal(choose(accept), expected, String(accept))
  for (const accept of [
    'text/html',
    'text/*',
    `${json};q=0`,
    '*/*;q=0',
    `${lines};q=2`,
    `${json};q=x`,
    'json',
    '*/json',
  ]) {
    t.throws(() => choose(accept), { code: 'not_acceptable', members: { offered: [json, lines] } }, accept)
  }
})
