// Random damage to good requests: the same seed does the same damage.

import { get, ONE_EVENT, post, put } from './case.ts'

/** Requests of every kind, all of them good. */
const GOOD = [
  post('/streams/$NEW/events', ONE_EVENT),
  post(
    '/streams/$STREAM/events?resync=true',
    '{"expected_version":3,"events":[{"type":"A","id":"$ID","data":{"a":[1.5e3,"x",null]},"metadata":{"b":"é"}}]}',
  ),
  post(
    '/streams/$NEW/events',
    '{"events":[{"type":"A","data_base64":"AAH/","content_type":"image/png"}]}',
    'Content-Type: application/json; charset=utf-8\r\nIf-None-Match: *\r\n',
  ),
  post(
    '/events',
    '{"appends":[{"stream_id":"$NEW","expected_version":0,"events":[{"type":"A"}]}],"checks":[{"stream_id":"$STREAM","expected_version":"exists"}],"atomic":true}',
  ),
  post(
    '/import',
    '{"stream_id":"$NEW","type":"A","version":1}\n{"stream_id":"$NEW","type":"B"}\n',
    'Content-Type: application/x-ndjson\r\n',
  ),
  put('/streams/$STREAM/snapshot', '{"version":3,"state":{"total":1.25}}'),
  put('/consumers/$CONSUMER', '{"filter":{"types":["A"],"stream_prefix":"a","metadata":{"k":"v"}}}'),
  post('/consumers/$CONSUMER/claim', '{"member":"m","limit":10}'),
  post('/consumers/$CONSUMER/nack', '{"token":"0190c6f2-7c1e-4cc3-98c4-dc0c0c07398f","action":"park","reason":"x"}'),
  get('/events?after=0&limit=10&type=A&stream_prefix=corpus&since=2026-01-01T00:00:00Z&metadata.k=v'),
  get(
    '/streams/$STREAM/events?from_version=1&direction=backward',
    'Accept: application/x-ndjson\r\nIf-None-Match: "9"\r\n',
  ),
  get('/streams/a%2Fb%C3%A9/state?limit=5'),
  get('/events/$EVENT1', 'X-Request-Id: abc\r\nConnection: close\r\n'),
  get('/pool/sizing?requests_per_second=100&hold_ms=5&replicas=2'),
  get('/metrics', 'Accept: application/openmetrics-text;version=1.0.0\r\n'),
]

// What is more likely to matter than any byte.
const PIECES = ['\0', '\r\n', '\n', '\r', '"', '\\', '{', '}', '[', ']', ',', ':', '%', '%00', '%ff', '\\u0000', '\\ud800', '1e999', '0e99999', '-', '\xff', '\xc0\xaf', '\xf0\x9f\x98\x80', ' ', '\t', '#', '?', '&', '/', '..', ';', 'null', '99999999999999999999', '__proto__'] // biome-ignore format: a list

/** A request with one to four damages; its length is that of what became of the body, if that header is whole. */
export function damaged(random: () => number): string {
  const below = (limit: number) => Math.floor(random() * limit)
  let request = GOOD[below(GOOD.length)] as string
  for (let damages = 1 + below(4); damages > 0; damages--) {
    const at = below(request.length)
    const piece = random() < 0.5 ? String.fromCharCode(below(256)) : (PIECES[below(PIECES.length)] as string)
    const cut = [0, 1, 1, below(12)][below(4)] as number
    const copied = request.slice(at, at + below(20))
    request = request.slice(0, at) + (random() < 0.15 ? copied + copied : piece) + request.slice(at + cut)
  }
  return request
}

/** mulberry32: numbers from 0 to 1 out of a seed of 32 bits. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
