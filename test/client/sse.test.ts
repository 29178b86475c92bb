import t from 'tap'
import { type Frame, framesOf } from '../../src/client/sse.ts'

/** The frames of an answer that comes in these pieces. */
async function read(...pieces: (string | Uint8Array)[]): Promise<Frame[]> {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces)
        controller.enqueue(typeof piece === 'string' ? new TextEncoder().encode(piece) : piece)
      controller.close()
    },
  })
  const frames: Frame[] = []
  for await (const frame of framesOf(body, () => {})) frames.push(frame)
  return frames
}

t.test('frames are read as the standard has them', async (t) => {
  const cases: [what: string, text: string, frames: Partial<Frame>[]][] = [
    ['all fields', 'id: 7\nevent: event\ndata: {"a":1}\n\n', [{ event: 'event', id: '7', data: '{"a":1}' }]],
    ['one space is no part of a value', 'event:event\ndata:  x \n\n', [{ event: 'event', data: ' x ' }]],
    ['a colon within a value', 'event: event\ndata: a: b\n\n', [{ data: 'a: b' }]],
    ['a line without a colon is a name', 'event: event\ndata\n\n', [{ event: 'event', data: '' }]],
    ['also one that resembles another', 'event: event\ndata: x\ndatax\nids\n\n', [{ id: '', data: 'x' }]],
    ['lines of data, empty ones too', 'event: event\ndata:\ndata: x\ndata\n\n', [{ data: '\nx\n' }]],
    [
      'comments',
      ': hb\n\n:\n',
      [
        { event: 'comment', data: ' hb' },
        { event: 'comment', data: '' },
      ],
    ],
    ['a name alone is nothing', 'event: event\n\ndata: x\n\n', [{ event: 'message', data: 'x' }]],
    ['an id with a null is none', 'id: 1\nid: 2\0\ndata: x\n\n', [{ id: '1' }]],
    ['other fields', 'retry: 10\nfoo: bar\nevent: event\ndata: x\n\n', [{ event: 'event', data: 'x' }]],
    ['one that is not whole', 'event: event\ndata: x\n', []],
  ]
  for (const [what, text, frames] of cases) {
    for (const end of ['\n', '\r\n', '\r']) {
      const written = text.replaceAll('\n', end)
      const found = await read(written)
      t.match(found, frames, `${what}, with ${JSON.stringify(end)}`)
      t.equal(found.length, frames.length, what)
      t.same(await read(...written.split('')), found, `${what}, a character at a time`)
    }
  }
})

t.test('a byte order mark is passed over, and characters may come in pieces', async (t) => {
  const bytes = new TextEncoder().encode('\uFEFFevent: event\ndata: ä€😀\n\n')
  t.match(await read(...Array.from(bytes, (byte) => Uint8Array.of(byte))), [{ event: 'event', data: 'ä€😀' }])
})

t.test('a frame is there with the carriage return that ends it, not with what comes next', async (t) => {
  let send: (text: string) => void = () => {}
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      send = (text) => controller.enqueue(new TextEncoder().encode(text))
    },
  })
  const frames = framesOf(body, () => {})
  send('event: event\rdata: x\r\r')
  t.match(await frames.next(), { value: { event: 'event', data: 'x' } })
  await frames.return()
})
