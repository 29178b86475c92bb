// annals import against services that are real, slow, and away for a moment.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startTestApp } from '../support/app.ts'
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

async function runImport(url: string) {
  const child = spawnAnnals(t, ['import', file, '--url', url])
  return { code: await child.exit, stdout: child.stdout.join('\n'), stderr: child.stderr.join('\n') }
}

t.test('a file of several chunks is stored in the order of its lines, and once', async (t) => {
  const app = await startTestApp()
  t.teardown(app.close)
  t.match(await runImport(app.url), { code: 0, stdout: /^12,500 events stored, 0 were already there/ })
  t.match(await runImport(app.url), { code: 0, stdout: /^0 events stored, 12,500 were already there/ })
  t.match(await ask(`${app.url}/streams/s`), { status: 200, body: { version: LINES } })
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

t.test('after a chunk that can not be stored nothing more is sent', async (t) => {
  const recorder = await startRecorder([200, 422])
  const { code, stderr } = await runImport(recorder.url)
  t.equal(code, 1)
  t.match(stderr, /after 5,000 lines \(line numbers below count from there\): the service answered 422 busy/)
  t.equal(recorder.chunks.length, 1)
  t.notOk(recorder.seen.includes('3 whole'))
})
