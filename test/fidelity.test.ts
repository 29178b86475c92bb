// What went in comes out, over HTTP and PostgreSQL: the bytes of data, the value of metadata.

import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { loadSettings } from '../src/config.ts'
import { runMigrations } from '../src/db/migrator.ts'
import { canonicalJson } from '../src/json/canonical.ts'
import { openLog } from '../src/logger.ts'
import { startService } from '../src/service.ts'
import { createTestDatabase } from './support/postgres.ts'

let url: string
t.before(async () => {
  const database = await createTestDatabase(t)
  await runMigrations(database.url)
  const { settings } = loadSettings({ DATABASE_URL: database.url, PORT: '0', LOG_LEVEL: 'silent' })
  const service = await startService({ settings, log: openLog(settings) })
  await service.ready
  t.teardown(() => service.close())
  url = service.url
})

const post = async (stream: string, events: string) => {
  const response = await fetch(`${url}/streams/${encodeURIComponent(stream)}/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"events":[${events}]}`,
  })
  return { status: response.status, body: JSON.parse(await response.text()) }
}
const read = async (stream: string) =>
  (await (await fetch(`${url}/streams/${encodeURIComponent(stream)}/events`)).text()).match(
    /"events":\[(.*)\],"next"/s,
  )?.[1] ?? ''
const dataOf = (text: string) => /"data":(.*?),"content_type"/s.exec(text)?.[1]
const metadataOf = (text: string) => /"metadata":(.*?),"created_at"/s.exec(text)?.[1]

t.test('data comes back byte for byte', async (t) => {
  const values = [
    '9007199254740993',
    '-0',
    '1.10',
    '0.1000000000000000055',
    '1E+2',
    '1e308',
    '5e-324',
    '"\\u00e9\\n\\/ é 😀 \\ud83d\\ude00"',
    '{ "b" : 1 , "a" : [ ] }',
    '{"__proto__":{"constructor":1},"toString":2}',
    '""',
    'null',
  ]
  for (const value of values) {
    const stream = randomUUID()
    t.equal((await post(stream, `{"type":"A","data":${value}}`)).status, 201, value)
    t.equal(dataOf(await read(stream)), value)
  }
  const stream = randomUUID()
  await post(stream, '{"type":"A","data":{\n"a":\r\n1}}')
  t.equal(dataOf(await read(stream)), '{ "a":  1}', 'line breaks between tokens become blanks')
})

t.test('metadata comes back with the same value', async (t) => {
  const values = [
    '{}',
    '{"n":9007199254740993,"m":0.1000000000000000055,"x":1e308,"y":5e-324,"z":-1.50e-7}',
    '{"b":{"b":[1,null,true]},"a":"é\\u0001"}',
    '{"__proto__":1,"":2}',
  ]
  for (const value of values) {
    const stream = randomUUID()
    t.equal((await post(stream, `{"type":"A","metadata":${value}}`)).status, 201, value)
    const out = metadataOf(await read(stream)) ?? ''
    t.equal(canonicalJson(Buffer.from(out)), canonicalJson(Buffer.from(value)))
  }
})

t.test('any event is stored and comes back identical, or is refused with nothing stored', async (t) => {
  const text = fc.string({
    unit: fc.constantFrom('a', '"', '\\', '\n', '\u0000', '\ud800', '\udc00', 'é', '😀', '\u007f', '/', ' '),
  })
  const number = fc.constantFrom('0', '-0', '1e400', '1e-400', '12345678901234567890', '0.1e1', '1E5', '-7.25')
  const json: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      text.map((value) => JSON.stringify(value)),
      number,
      fc.constantFrom('true', 'false', 'null'),
      fc.array(tie('value'), { maxLength: 3 }).map((items) => `[${items.join(' , ')}]`),
      fc
        .array(fc.tuple(text, tie('value')), { maxLength: 3 })
        .map((members) => `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`),
    ),
  })).value
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(json, text, async (data, type) => {
      const stream = randomUUID()
      const { status, body } = await post(
        stream,
        `{"type":${JSON.stringify(`t${type}`)},"data":${data},"metadata":{"v":${data}}}`,
      )
      const out = await read(stream)
      if (status === 201) {
        accepted++
        return (
          dataOf(out) === data &&
          canonicalJson(Buffer.from(metadataOf(out) ?? '')) === canonicalJson(Buffer.from(`{"v":${data}}`))
        )
      }
      return out === '' && [400, 422].includes(status) && ['validation_failed', 'unstorable_value'].includes(body.code)
    }),
    { numRuns: 400 },
  )
  t.ok(accepted > 10, `${accepted} of 400 were accepted`)
})
