// annals import against services that are real, slow, and away for a moment.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { rateLimit } from '../../src/http/rate-limit.ts'
import type { Buckets } from '../../src/rate-limit/buckets.ts'
import { startTestApp } from '../support/app.ts'
import type { Teardown } from '../support/postgres.ts'
import { ask, spawnAnnals } from '../support/service.ts'

const LINES = 12_500
const CHUNKS = 3

const folder = mkdtempSync(join(tmpdir(), 'annals-test-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'events.ndjson')
const uuid = (i: number) => `00000000-0000-7000-8000-${String(i).padStart(12, '0')}`
writeFileSync(
  file,
  Array.from(
    { length: LINES },
    (_, i) => `{"stream_id":"s","id":"${uuid(i)}","type":"A","data":${i},"version":${i + 1}}\n`,
  ).join(''),
)

const anonymous = join(folder, 'anonymous.ndjson')
writeFileSync(anonymous, '{"stream_id":"s","type":"A","data":1}\n')

async function runImport(url: string, from = file) {
  const child = spawnAnnals(t, ['import', from, '--url', url])
  return { code: await child.exit, stdout: child.stdout.join('\n'), stderr: child.stderr.join('\n') }
}

t.test('a file of several chunks is stored in the order of its lines, and once', async (t) => {
  const app = await startTestApp()
  t.teardown(app.close)
  t.match(await runImport(app.url), { code: 0, stdout: /^12,500 events stored, 0 were already there/ })
  t.match(await runImport(app.url), { code: 0, stdout: /^0 events stored, 12,500 were already there/ })
  t.match(await ask(`${app.url}/streams/s`), { status: 200, body: { version: LINES } })
})

/** A service that lets in all requests but those of these numbers, which are told to come after `waitMs`. */
async function startLimited(t: Teardown, refused: number[], waitMs: number) {
  const arrivals: number[] = []
  const rate = { name: 'client', perSecond: 1, burst: 1 }
  const buckets: Buckets = {
    take() {
      const isAllowed = !refused.includes(arrivals.push(performance.now()))
      return { isAllowed, rate, remaining: 0, waitMs: isAllowed ? 0 : waitMs, fullInMs: 0 }
    },
  }
  const app = await startTestApp({ parts: { rateLimit: rateLimit(buckets) } })
  t.teardown(app.close)
  return { url: app.url, arrivals }
}

t.test('a service that limits requests is asked again, and not before it says', async (t) => {
  const { url } = await startLimited(t, [1, 3, 4], 1_000)
  t.match(await runImport(url), { code: 0, stdout: /^12,500 events stored, 0 were already there/ })
  const slow = await startLimited(t, [1], 3_000)
  t.match(await runImport(slow.url, anonymous), { code: 0, stdout: /^1 events stored/ })
  const [first = 0, second = 0] = slow.arrivals
  t.ok(second - first > 2_900, `${second - first} ms`)
})

/** A service that notes what it got when, and answers as it is told. */
async function startRecorder(answers: number[]) {
  const seen: string[] = []
  const chunks: Buffer[] = []
  let arrived = 0
  const server = createServer((request, response) => {
    const number = ++arrived
    const parts: Buffer[] = []
    let bytes = 0
    request.on('data', (part: Buffer) => {
      parts.push(part)
      bytes += part.length
      if (bytes === Number(request.headers['content-length']) - 1) seen.push(`${number} all but its end`)
    })
    request.on('end', () => {
      seen.push(`${number} whole`)
      setTimeout(() => {
        const status = answers[number - 1] ?? 200
        seen.push(`${number} answered`)
        if (status === 200) chunks.push(Buffer.concat(parts))
        const body = status === 200 ? { stored: 1, already_stored: 0, failed: 0, failures: [] } : { code: 'busy' }
        response.writeHead(status).end(JSON.stringify(body))
      }, 300)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.closeAllConnections())
  t.teardown(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, chunks }
}

t.test('the service gets the next chunk while it stores one, and the end of it afterwards', async (t) => {
  const recorder = await startRecorder([])
  t.match(await runImport(recorder.url), { code: 0, stdout: /^3 events stored/ })
  const { seen } = recorder
  const at = (what: string) => seen.indexOf(what)
  for (let i = 2; i <= CHUNKS; i++) {
    t.ok(at(`${i} whole`) > at(`${i - 1} answered`), seen.join(', '))
    t.ok(at(`${i} all but its end`) < at(`${i - 1} answered`), seen.join(', '))
  }
  t.equal(Buffer.concat(recorder.chunks).toString().split('\n').length, LINES + 1)
})

t.test('a chunk that is refused for a moment is sent again before the next one ends', async (t) => {
  const recorder = await startRecorder([200, 503])
  t.match(await runImport(recorder.url), { code: 0, stdout: /^3 events stored/ })
  const lines = Buffer.concat(recorder.chunks).toString().split('\n').slice(0, -1)
  t.same(
    lines.map((line) => (JSON.parse(line) as { data: number }).data),
    Array.from({ length: LINES }, (_, i) => i),
  )
})

t.test('events without ids are sent again only when nothing of them can be stored', async (t) => {
  const limited = await startRecorder([429, 408])
  t.match(await runImport(limited.url, anonymous), { code: 0, stdout: /^1 events stored/ })
  const failing = await startRecorder([503])
  t.match(await runImport(failing.url, anonymous), { code: 1, stderr: /answered 503/ })
})

t.test('after a chunk that can not be stored nothing more is sent', async (t) => {
  const recorder = await startRecorder([200, 422])
  const { code, stderr } = await runImport(recorder.url)
  t.equal(code, 1)
  t.match(stderr, /after 5,000 lines \(line numbers below count from there\): the service answered 422 busy/)
  t.equal(recorder.chunks.length, 1)
  t.notOk(recorder.seen.includes('3 whole'))
})
