// `annals tail` as a process, and what it makes of an event.

import t from 'tap'
import { EventLines } from '../../src/cli/event-line.ts'
import { createClient, type StoredEvent } from '../../src/client/client.ts'
import { startTestApp } from '../support/app.ts'
import { spawnAnnals, until } from '../support/service.ts'

t.test('the last events come first, then new ones as they are stored, until Ctrl-C', async (t) => {
  const app = await startTestApp()
  t.teardown(app.close)
  const annals = createClient({ url: app.url })
  for (let n = 1; n <= 4; n++) await annals.append('order-1', [{ type: 'Placed', data: { n } }, { type: 'Other' }])
  await annals.append('elsewhere', [{ type: 'Placed' }])
  const args = ['tail', '--url', app.url]
  const filtered = spawnAnnals(t, [...args, '--stream-prefix', 'order-', '--type', 'Placed', '-n', '2'])
  const stream = spawnAnnals(t, [...args, '--stream', 'order-1', '--after', '7', '--json'])
  await filtered.said(`following ${app.url} from 10 on`)
  await stream.said('from 8 on')
  await annals.append('order-2', [{ type: 'Placed', data: { n: 5 } }])
  await annals.append('order-1', [{ type: 'Paid', metadata: { by: 'x' } }])
  await until(() => filtered.stdout.length === 3 && stream.stdout.length === 2)
  t.match(filtered.stdout, [
    /^ {5}5 {2}\d{4}-\d\d-\d\dT[\d:.]+Z {2}Placed {8}order-1@5 {9}\{"n":3\}$/,
    /^ {5}7 .* order-1@7 .*\{"n":4\}$/,
    /^ {4}10 .* order-2@1 .*\{"n":5\}$/,
  ])
  t.match(
    stream.stdout.map((line) => JSON.parse(line) as StoredEvent),
    [
      { version: 8, type: 'Other', data: null },
      { version: 9, type: 'Paid', metadata: { by: 'x' } },
    ],
  )
  for (const [child, signal] of [
    [filtered, 'SIGINT'],
    [stream, 'SIGTERM'],
  ] as const) {
    child.process.kill(signal)
    t.equal(await child.exit, 0)
  }
})

t.test('a lost connection is told once, and nothing is missed', async (t) => {
  const app = await startTestApp()
  t.teardown(app.close)
  const child = spawnAnnals(t, ['tail', '--url', app.url])
  await child.said('following')
  app.app.server.closeAllConnections()
  await child.said('connected again after')
  await createClient({ url: app.url }).append('s', [{ type: 'A' }])
  await until(() => child.stdout.length === 1)
  t.equal(child.stderr.filter((line) => line.startsWith('The connection is lost, trying again.')).length, 1)
})

t.test('what can not work ends at once with a sentence', async (t) => {
  const app = await startTestApp({ tokens: 'append:0123456789abcdef' })
  t.teardown(app.close)
  const closed = await startTestApp()
  await closed.close()
  const cases: [string[], number, RegExp][] = [
    [['--url', closed.url], 1, /can't be reached \(ECONNREFUSED\); is the service running\?/],
    [['--url', app.url], 1, /the service answered 401 unauthenticated/],
    [['--after', 'x'], 64, /It is a whole number from 0, or head/],
    [['-n', '1001'], 64, /from 0 to 1000/],
    [['--stream', 'a', '--stream-prefix', 'b'], 64, /cannot be used with/],
  ]
  await Promise.all(
    cases.map(async ([args, code, text]) => {
      const child = spawnAnnals(t, ['tail', ...args])
      t.equal(await child.exit, code)
      t.match(child.stderr.join('\n'), text)
    }),
  )
})

const event = (members: Partial<StoredEvent> = {}): StoredEvent => ({
  position: 1,
  stream_id: 'order-1',
  version: 1,
  id: '0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f',
  type: 'OrderPlaced',
  data: { total: 10 },
  content_type: 'application/json',
  metadata: null,
  created_at: '2026-01-31T12:34:56.789012Z',
  ...members,
})

t.test('on a terminal a line fits its width, and a new day is announced', (t) => {
  const lines = new EventLines({ isColoured: false, columns: () => 72 })
  t.same(lines.format(event()).split('\n'), [
    '── 2026-01-31 UTC ──',
    '     1  12:34:56.789  OrderPlaced   order-1@1         {"total":10}',
  ])
  const long = lines.format(event({ data: '界'.repeat(100) }))
  t.match(long, /"界{8}…$/)
  t.notMatch(long, /\n/)
  t.match(lines.format(event({ created_at: '2026-02-01T00:00:00.000000Z' })), /^── 2026-02-01 UTC ──\n/)
  t.end()
})

t.test('nothing in an event can command the terminal', (t) => {
  const lines = new EventLines({ isColoured: false, columns: () => undefined })
  const line = lines.format(
    event({ stream_id: 'a\u202eb', data: '\u001b[2J\u009b31m\u0007\n', metadata: { '\u2066': '\u007f' } }),
  )
  t.notMatch(line, /[\p{Cc}\u202e\u2066]/u)
  t.match(line, 'a\\u202eb@1')
  t.match(
    lines.format(event({ data_base64: 'AP8A', content_type: 'application/x-thing' })),
    '<application/x-thing, 3 bytes>',
  )
  t.end()
})

t.test('types have colours of their own', (t) => {
  const lines = new EventLines({ isColoured: true, columns: () => 200 })
  const colourOf = (type: string) => /\u001b\[(3\d)m/.exec(lines.format(event({ type })))?.[1]
  const [first, second] = [colourOf('A'), colourOf('B')]
  t.ok(first !== undefined && first !== second, `${first} and ${second}`)
  t.equal(colourOf('A'), first)
  t.end()
})
