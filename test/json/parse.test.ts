import fc from 'fast-check'
import t from 'tap'
import type { AppError } from '../../src/errors.ts'
import { canonicalJson } from '../../src/json/canonical.ts'
import { parseJson, RawJson } from '../../src/json/parse.ts'

const parse = (text: string | Buffer) => parseJson(Buffer.from(text as string)) as Record<string, unknown>
const failure = (text: string | Buffer): AppError => {
  try {
    parse(text)
  } catch (error) {
    return error as AppError
  }
  throw new Error(`it parsed: ${text}`)
}
const data = (json: string) => parse(`{"data":${json}}`)['data'] as RawJson
const rules = (json: string) => data(json).violations('/data')

t.test('what is not JSON is refused as malformed, with the place', async (t) => {
  const malformed = [
    '',
    ' ',
    '{',
    '{}{}',
    '{"a"}',
    '{"a":1,}',
    '[1,]',
    '{a:1}',
    "{'a':1}",
    '01',
    '1.',
    '.5',
    '+1',
    '1e',
    '-',
    'NaN',
    'Infinity',
    'tru',
    'nul',
    '"a',
    '"\n"',
    '"\u0000"',
    '"\\x"',
    '"\\u12"',
    '"\\u12g4"',
    '[1 2]',
    '{"a":1 "b":2}',
    '\ufeff{}',
    '{"data":}',
    '{"data":[}',
    '{"data":{"a":1]}',
    '/**/{}',
    '{"data":"\t"}',
    '{"data":-}',
    ']',
  ]
  for (const text of malformed) t.match(failure(text), { code: 'malformed_request' }, JSON.stringify(text))
  t.match(failure('{"a":1,}').message, 'at byte 7')
  t.match(failure(Buffer.from([0x22, 0xff, 0x22])), { code: 'malformed_request', message: /UTF-8/ })
  t.match(failure(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])), { code: 'malformed_request', message: /UTF-8/ })
})

t.test('duplicate and prototype keys of the envelope are refused with their pointer', async (t) => {
  t.same(failure('{"a":1,"b":{"c":1,"c":2}}').members['errors'], [{ pointer: '/b/c', rule: 'duplicate_key' }])
  t.same(failure('{"\\u0061":1,"a":2}').members['errors'], [{ pointer: '/a', rule: 'duplicate_key' }])
  t.same(failure('[{"__proto__":1}]').members['errors'], [{ pointer: '/0/__proto__', rule: 'forbidden_key' }])
  t.same(failure('{"constructor":1}').members['errors'], [{ pointer: '/constructor', rule: 'forbidden_key' }])
})

t.test('a number of the envelope is whole only where its text is', async (t) => {
  const number = (json: string) => parse(`{"a":${json}}`)['a']
  for (const [json, value] of [
    ['1.0', 1],
    ['10e-1', 1],
    ['1e3', 1_000],
    ['-0.0', 0],
    ['0e-400', 0],
    ['1.5', 1.5],
  ]) {
    t.ok(Object.is(Math.abs(number(json as string) as number), value), json as string)
  }
  const long = `0.${'0'.repeat(100_000)}1`
  for (const json of ['1e-400', '-1e-400', '1.00000000000000000001', '9007199254740991.4', long]) {
    t.ok(Number.isNaN(number(json)), json.slice(0, 30))
  }
})

t.test('stored members stay the bytes they came as, on one line', async (t) => {
  t.equal(
    String(data('{ "z" : 1.10, "a":[9007199254740993,0.1000000000000000055] }')),
    '{ "z" : 1.10, "a":[9007199254740993,0.1000000000000000055] }',
  )
  t.equal(String(data('{"a":\r\n1,\n"b":"\\n"}')), '{"a":  1, "b":"\\n"}')
  t.equal(String(data('{"__proto__":{"constructor":1}}')), '{"__proto__":{"constructor":1}}')
  t.same(rules('{"__proto__":{"constructor":1}}'), [])
})

t.test('what could not make the round trip is found, with its pointer', async (t) => {
  t.same(rules('{"a":[1,"\\ud800x"]}'), [{ pointer: '/data/a/1', rule: 'lone_surrogate' }])
  t.same(rules('"\\udc00\\ud800"'), [
    { pointer: '/data', rule: 'lone_surrogate' },
    { pointer: '/data', rule: 'lone_surrogate' },
  ])
  t.same(rules('{"a/b~":{"\\u0000":1}}'), [{ pointer: '/data/a~1b~0/\u0000', rule: 'nul_character' }])
  t.same(rules('[1e400]'), [{ pointer: '/data/0', rule: 'number_out_of_range' }])
  t.same(rules('-1e-400'), [{ pointer: '/data', rule: 'number_out_of_range' }])
  t.same(rules(`1${'0'.repeat(308)}`), [])
  t.same(rules(`1${'0'.repeat(309)}`), [{ pointer: '/data', rule: 'number_out_of_range' }])
  t.same(rules(`0.${'1'.repeat(1000)}`), [{ pointer: '/data', rule: 'number_too_long' }])
  t.same(rules(`${'['.repeat(64)}${']'.repeat(64)}`), [])
  t.equal(rules(`${'['.repeat(65)}${']'.repeat(65)}`)[0]?.rule, 'too_deep')
  t.equal(rules(`${'{"a":'.repeat(65)}1${'}'.repeat(65)}`)[0]?.rule, 'too_deep')
  t.same(rules('["\\ud83d\\ude00","😀",0,-0,0e5,0.0,1E+2]'), [])
})

t.test('duplicate keys are found however many keys there are, and however they are written', async (t) => {
  const keys = (names: string[]) => `{${names.map((name) => `${JSON.stringify(name)}:1`).join(',')}}`
  for (const count of [2, 15, 16, 17, 40, 1000]) {
    const names = Array.from({ length: count }, (_, i) => `key${i}`)
    t.same(rules(keys(names)), [], `${count} different ones`)
    t.same(
      rules(keys([...names, 'key0'])),
      [{ pointer: '/data/key0', rule: 'duplicate_key' }],
      `${count} and one again`,
    )
  }
  t.same(rules('{"a":1,"\\u0061":1}'), [{ pointer: '/data/a', rule: 'duplicate_key' }])
  t.same(rules('{"":1,"":1}'), [{ pointer: '/data/', rule: 'duplicate_key' }])
  t.same(rules('{"a":{"b":1},"b":{"a":1}}'), [], 'the same key in other objects')
  t.same(rules('[{"a":{"x":1}},{"a":{"x":1}}]'), [])
})

t.test('hostile bodies are answered, not suffered', async (t) => {
  t.match(failure(`{"data":${'['.repeat(1_000_000)}`), { code: 'malformed_request' })
  t.equal(rules(`${'['.repeat(100_000)}${']'.repeat(100_000)}`).length, 1)
  t.ok(parse(`{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`)['a'], 'a deep envelope does not exhaust the stack')
  const many = `{${Array.from({ length: 100_000 }, (_, i) => `"${i}":1`).join(',')}}`
  t.same(rules(many), [])
})

t.test('the scan agrees with JSON.parse about what is JSON', async (t) => {
  const mutated = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', '"', '\\', '{', ']', ',', ':', '0', 'e', '.', '-', ' ', '\n', 'u'))
    .map(([json, at, insert]) => {
      const place = json.length === 0 ? 0 : at % json.length
      return json.slice(0, place) + insert + json.slice(place + (at % 2))
    })
  fc.assert(
    fc.property(fc.oneof(fc.json(), mutated), (json) => {
      let expected = true
      try {
        JSON.parse(json)
      } catch {
        expected = false
      }
      let actual = true
      try {
        const value = data(json)
        if (value.findings === undefined) t.same(JSON.parse(String(value)), JSON.parse(json))
      } catch {
        actual = false
      }
      if (expected && json.trim() !== '') return actual
      return !actual || expected
    }),
    { numRuns: 3000 },
  )
})

t.test('equal values have one canonical text, others have another', async (t) => {
  const canonical = (json: string) => canonicalJson(Buffer.from(json))
  t.equal(canonical('{"b":1.50e1,"a":[15.0, -0]}'), canonical(' { "a" : [ 15 , 0.0e7 ] , "b" : 15 } '))
  t.equal(canonical('"\\u0041\\/"'), canonical('"A/"'))
  t.equal(canonical('100'), canonical('1E+2'))
  t.not(canonical('9007199254740993'), canonical('9007199254740992'))
  t.not(canonical('0.1'), canonical('0.10000000000000001'))
  t.not(canonical('1'), canonical('"1"'))
  t.not(canonical('-1'), canonical('1'))
  t.not(canonical('[1,2]'), canonical('[2,1]'))
  t.not(canonical('{"a":1}'), canonical('{"a":null}'))
  t.equal(canonical('[]'), '[]')
  t.equal(canonical('{}'), '{}')
})
