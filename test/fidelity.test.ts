// What went in comes out, over HTTP and PostgreSQL: the bytes of data, the value of metadata.

import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { loadSettings } from '../src/config.ts'
import { runMigrations } from '../src/db/migrations/migrator.ts'
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

// Escapes, controls, halves of pairs, what the database or SQL or Server-Sent Events could take for their own.
const text = fc.string({
  unit: fc.oneof(
    {
      weight: 200,
      arbitrary: fc.constantFrom('a', 'B', '7', '"', '\\', '\n', 'é', '😀', '/', ' ', "'", '%', '\u2028'),
    },
    { weight: 1, arbitrary: fc.constantFrom('\u0000', '\ud800', '\udc00', '\u007f', '\u0085', '\uffff') },
    { weight: 20, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }) },
  ),
  maxLength: 12,
})
// A control character is refused in ids of streams and in types, so they get few.
const name = text.map((value) => `n${value.replaceAll('\n', '')}`)
const digits = fc.string({ unit: fc.constantFrom(...'0123456789'.split('')), minLength: 1, maxLength: 25 })
const number = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .double({ noNaN: true, noDefaultInfinity: true })
      .map((value) => (Object.is(value, -0) ? '-0' : String(value))),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(digits, digits, fc.integer({ min: -300, max: 300 }))
      .map(([a, b, e]) => `${Number(a[0])}.${b}${a}E${e}`),
  },
  { weight: 6, arbitrary: fc.bigInt().map(String) },
  { weight: 6, arbitrary: fc.constantFrom('0', '-0', '-7.250', '1.10', '9007199254740993', '0e-300') },
  { weight: 1, arbitrary: fc.constantFrom('1e400', '-1e309', '1e-400', '0e99999999') },
)
const json: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    text.map((value) => JSON.stringify(value)),
    number,
    fc.constantFrom('true', 'false', 'null'),
    fc.array(tie('value'), { maxLength: 3 }).map((items) => `[${items.join(' , ')}]`),
    fc
      .array(fc.tuple(text, tie('value')), { maxLength: 3 })
      .map((members) => `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`),
  ),
})).value

interface Sent {
  streamId: string
  type: string
  id: string | undefined
  data: string | undefined
  bytes: string | undefined
  contentType: string | undefined
  metadata: string | undefined
}

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const seldom = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })
const event: fc.Arbitrary<Sent> = fc.record({
  streamId: name,
  type: name,
  id: maybe(fc.uuid()),
  data: maybe(json),
  bytes: seldom(fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('base64'))),
  contentType: seldom(fc.constantFrom('application/json', 'a/b+json; charset=utf-8', 'image/png', 'ü')),
  metadata: maybe(
    fc.oneof(
      { weight: 8, arbitrary: json.map((value) => `{"m":${value}}`) },
      { weight: 1, arbitrary: fc.constant('null') },
      { weight: 1, arbitrary: json },
    ),
  ),
})

const appendOf = ({ streamId, type, id, data, bytes, contentType, metadata }: Sent): string => {
  const members = [
    `"type":${JSON.stringify(type)}`,
    id === undefined ? [] : `"id":"${id}"`,
    data === undefined || bytes !== undefined ? [] : `"data":${data}`,
    bytes === undefined ? [] : `"data_base64":"${bytes}"`,
    contentType === undefined ? [] : `"content_type":"${contentType}"`,
    metadata === undefined ? [] : `"metadata":${metadata}`,
  ]
  return `{"stream_id":${JSON.stringify(streamId)},"events":[{${members.flat().join()}}]}`
}

/** What differs between an event as it was sent and the line that came back. */
function difference(sent: Sent, line: string): string | undefined {
  const got = JSON.parse(line) as Record<string, unknown>
  const usual = sent.bytes === undefined ? 'application/json' : 'application/octet-stream'
  if (got['stream_id'] !== sent.streamId) return 'stream_id'
  if (got['type'] !== sent.type) return 'type'
  if (sent.id !== undefined && got['id'] !== sent.id) return 'id'
  if (got['content_type'] !== (sent.contentType ?? usual)) return 'content_type'
  if (got['data_base64'] !== sent.bytes) return 'data_base64'
  if (sent.bytes === undefined && dataOf(line) !== (sent.data ?? 'null')) return 'data'
  const metadata = canonicalJson(Buffer.from(sent.metadata ?? 'null'))
  return canonicalJson(Buffer.from(metadataOf(line) ?? '')) === metadata ? undefined : 'metadata'
}

const TOGETHER = 100
const REFUSALS = ['validation_failed', 'stream_id_invalid', 'unstorable_value']

// ANNALS_RANDOM_EVENTS=100000 for the full number; ANNALS_RANDOM_SEED for the same ones again.
t.test('any event is stored and comes back identical, or is refused with nothing stored', async (t) => {
  const count = Number(process.env['ANNALS_RANDOM_EVENTS'] ?? 3_000)
  const seed = Number(process.env['ANNALS_RANDOM_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  let head = ((await (await fetch(`${url}/events?limit=1&direction=backward`)).json()) as { head: number }).head
  let [accepted, refused, unique] = [0, 0, 0]
  const ids = new Set<string>()
  const once = (id: string | undefined) => {
    if (id === undefined || ids.has(id)) return undefined
    ids.add(id)
    return id
  }
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: TOGETHER, maxLength: TOGETHER }), async (events) => {
      // A stream may come once in a request, and an id once in the store.
      const sent = events.map((each) => ({
        ...each,
        streamId: `${unique++}${each.streamId}`,
        id: once(each.id),
      }))
      const response = await fetch(`${url}/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: `{"atomic":false,"appends":[${sent.map(appendOf).join()}]}`,
      })
      if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`)
      type Result = { status: number; body: { position?: number; code?: string } }
      const { results } = (await response.json()) as { results: Result[] }
      const stored = new Map<number, Sent>()
      results.forEach(({ status, body }, i) => {
        if (status === 201) stored.set(body.position as number, sent[i] as Sent)
        else if (!REFUSALS.includes(body.code ?? '')) throw new Error(`${status} ${body.code}`)
      })
      const feed = await fetch(`${url}/events?after=${head}`, { headers: { accept: 'application/x-ndjson' } })
      const lines = (await feed.text()).split('\n').filter((line) => line !== '')
      head += lines.length
      accepted += stored.size
      refused += TOGETHER - stored.size
      if (lines.length !== stored.size) throw new Error(`${stored.size} were accepted, and ${lines.length} stored`)
      for (const line of lines) {
        const { position } = JSON.parse(line) as { position: number }
        const differs = difference(stored.get(position) as Sent, line)
        if (differs !== undefined)
          throw new Error(`${differs} differs: ${appendOf(stored.get(position) as Sent)} ${line}`)
      }
    }),
    { numRuns: Math.ceil(count / TOGETHER), seed, endOnFailure: true },
  )
  t.comment(`seed ${seed}: ${accepted} accepted and identical, ${refused} refused`)
  t.ok(accepted > count / 10 && refused > count / 10, `of ${count}, ${accepted} were accepted and ${refused} refused`)
})
