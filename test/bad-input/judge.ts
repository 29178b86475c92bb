// Sends one case to a running service and says what is wrong with the answer.

import { randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import type { Case } from './case.ts'

interface Target {
  url: URL
  /** Without any the service is an open loopback. */
  tokens: Partial<Record<'admin' | 'read' | 'append' | 'metrics', string>>
  /** Whether nobody else writes, so that every change of the head is the case's own. */
  isAlone: boolean
  /** Longest time that a case may take. */
  limitMs?: number
}

/** A service with what the cases refer to. */
export interface Bench {
  target: Target
  run: string
  eventIds: string[]
  /** Last position of the store, as after the case before. */
  head: number
  /** Of the cases so far. */
  slowest: { name: string; tookMs: number }
}

interface Answer {
  status: number
  /** Lower-case names. */
  headers: Record<string, string>
  body: string
}

// A hang, not a speed: the machine may be busy.
const HANG_MS = 30_000
/** What is promised where the machine does nothing else. */
export const PROMISED_MS = 1_000
// A service with a limit on requests says when there is room again.
const MAX_WAITS = 10

/** Stores the stream of three events and the consumer that the cases refer to. */
export async function prepare(target: Target): Promise<Bench> {
  const run = `corpus-${randomUUID().slice(0, 8)}`
  const eventIds = [randomUUID(), randomUUID(), randomUUID()]
  const bench: Bench = { target, run, eventIds, head: 0, slowest: { name: '', tookMs: 0 } }
  const events = eventIds.map((id, i) => ({ id, type: 'A', data: { n: i + 1 } }))
  await must(bench, 'POST', `/streams/${run}/events`, JSON.stringify({ expected_version: 0, events }), 201)
  await must(bench, 'PUT', `/consumers/${run}`, '{"start":"head"}', 201)
  bench.head = await headOf(bench)
  return bench
}

/** Takes the consumer away; events stay for ever. */
export const tidyUp = (bench: Bench): Promise<void> => must(bench, 'DELETE', `/consumers/${bench.run}`, '', 204)

/** Reads the whole feed. @throws Error when positions are not contiguous, or the service does not answer */
export async function checkOrder(bench: Bench): Promise<void> {
  const head = await headOf(bench)
  for (let after = 0; after < head; ) {
    const answer = await ask(bench, 'GET', `/events?after=${after}&limit=1000`, '')
    const { events } = JSON.parse(answer.body) as { events: { position: number }[] }
    if (events.length === 0) throw new Error(`nothing after position ${after}, and the head is ${head}`)
    for (const { position } of events) {
      if (position !== ++after) throw new Error(`position ${position} stands where ${after} has to`)
    }
  }
}

/** What is wrong, in sentences; nothing when the service answered as it has to. */
export async function judge(bench: Bench, [name, [status, code], request, options = {}]: Case): Promise<string[]> {
  const before = bench.head
  const { limitMs = HANG_MS } = bench.target
  const { answer, tookMs } = await exchange(bench, [request].flat().map(filler(bench)), options.isCutOff === true)
  if (tookMs > bench.slowest.tookMs) bench.slowest = { name, tookMs }
  bench.head = await headOf(bench)
  const flaws: string[] = []
  if (typeof answer === 'string') return [`no answer: the connection was ${answer}`]
  if (answer.status !== status) flaws.push(`answered ${answer.status}, not ${status}: ${answer.body.slice(0, 300)}`)
  if (tookMs > limitMs) flaws.push(`took ${Math.round(tookMs)} ms`)
  if (code !== null) flaws.push(...problemFlaws(answer, code))
  if (answer.status >= 400) flaws.push(...headerFlaws(answer))
  if (bench.target.isAlone && status >= 300 && bench.head !== before)
    flaws.push(`the head moved from ${before} to ${bench.head}`)
  return flaws
}

/** What is wrong with the answer to damaged bytes, whose right answer nobody knows. */
export async function judgeDamaged(bench: Bench, request: string): Promise<string[]> {
  const { answer } = await exchange(bench, [filler(bench)(request)], true)
  // A request that the damage left unfinished may be closed without a word.
  if (answer === 'closed') return []
  if (answer === 'silent') return [`no answer within ${HANG_MS} ms`]
  const { status, body } = answer
  if (status >= 500 && status !== 505) return [`answered ${status}: ${body}`]
  return status < 400 || body === '' ? [] : problemFlaws(answer, (JSON.parse(body) as { code: string }).code)
}

const MEMBERS = {
  type: 'string',
  title: 'string',
  status: 'number',
  code: 'string',
  detail: 'string',
  request_id: 'string',
  retryable: 'boolean',
  outcome: 'string',
}
// What only the inside knows.
const LEAKS = /SQLSTATE|syntax error at|relation "|SELECT |INSERT |node_modules|\n\s+at |\.[jt]s:\d+|ECONN|\/src\//

function problemFlaws({ status, headers, body }: Answer, code: string): string[] {
  if (headers['content-type'] !== 'application/problem+json') return [`the type is ${headers['content-type']}`]
  const problem = JSON.parse(body) as Record<string, unknown>
  const flaws = Object.entries(MEMBERS)
    .filter(([name, type]) => typeof problem[name] !== type)
    .map(([name]) => `${name} is ${JSON.stringify(problem[name])}`)
  if (problem['code'] !== code) flaws.push(`the code is ${problem['code']}, not ${code}: ${problem['detail']}`)
  if (problem['status'] !== status) flaws.push(`the status is ${problem['status']} inside`)
  if (problem['outcome'] !== 'not_applied') flaws.push(`the outcome is ${problem['outcome']}`)
  if (problem['request_id'] !== headers['x-request-id']) flaws.push('the request id differs from the header')
  if (code === 'validation_failed' && !areViolations(problem['errors'])) flaws.push('errors name no rule')
  if (LEAKS.test(body)) flaws.push(`it tells of the inside: ${body}`)
  return flaws
}

const areViolations = (errors: unknown): boolean =>
  Array.isArray(errors) &&
  errors.length > 0 &&
  errors.every((each) => typeof each?.pointer === 'string' && typeof each?.rule === 'string')

function headerFlaws({ status, headers }: Answer): string[] {
  const flaws: string[] = []
  const needed = { 401: 'www-authenticate', 405: 'allow', 429: 'retry-after', 503: 'retry-after' }[status]
  if (needed !== undefined && !headers[needed]) flaws.push(`${needed} is missing`)
  if (headers['cache-control'] !== 'no-store') flaws.push(`Cache-Control is ${headers['cache-control']}`)
  if (!/^[A-Za-z0-9._-]{1,128}$/.test(headers['x-request-id'] ?? '')) flaws.push('X-Request-Id is missing')
  return flaws
}

/** Replaces the names of case.ts; `$NEW` and `$ID` are others for each case. */
function filler({ target, run, eventIds }: Bench): (text: string) => string {
  const { admin, read, append, metrics } = target.tokens
  const values: Record<string, string> = {
    AUTH: admin === undefined ? '' : `Authorization: Bearer ${admin}\r\n`,
    READ: read ?? '',
    APPEND: append ?? '',
    METRICS: metrics ?? '',
    HOST: target.url.host,
    STREAM: run,
    EVENT1: eventIds[0] as string,
    EVENT2: eventIds[1] as string,
    EVENT3: eventIds[2] as string,
    NEW: `${run}-${randomUUID()}`,
    ID: randomUUID(),
    CONSUMER: run,
  }
  return (text) => {
    const filled = text.replace(
      /\$(AUTH|READ|APPEND|METRICS|HOST|STREAM|EVENT[123]|NEW|ID|CONSUMER)/g,
      (_, name) => values[name] as string,
    )
    const [, body] = splitOnce(filled, '\r\n\r\n')
    return filled.replace('$LENGTH', String(body.length))
  }
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)]
}

/** A fresh connection for each, so this also shows that the service goes on. */
async function headOf(bench: Bench): Promise<number> {
  const answer = await ask(bench, 'GET', '/events?limit=1&direction=backward', '')
  if (answer.status !== 200) throw new Error(`the service does not answer any more: ${JSON.stringify(answer)}`)
  return (JSON.parse(answer.body) as { head: number }).head
}

async function must(bench: Bench, method: string, path: string, body: string, status: number): Promise<void> {
  const answer = await ask(bench, method, path, body)
  if (answer.status === status) return
  throw new Error(`${method} ${path} was answered ${answer.status}: ${answer.body}`)
}

async function ask(bench: Bench, method: string, path: string, body: string): Promise<Answer> {
  const type = body === '' ? '' : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
  const request = filler(bench)(`${method} ${path} HTTP/1.1\r\nHost: $HOST\r\n$AUTH${type}\r\n${body}`)
  const { answer } = await exchange(bench, [request], false)
  if (typeof answer === 'string') throw new Error(`${method} ${path} was not answered: the connection was ${answer}`)
  return answer
}

type Reply = Answer | 'closed' | 'silent'

/** Sends a request, again after as long as a limit on requests asks for; `tookMs` is the time of the last answer. */
async function exchange(
  { target }: Pick<Bench, 'target'>,
  parts: string[],
  isCutOff: boolean,
): Promise<{ answer: Reply; tookMs: number }> {
  for (let waits = 0; ; waits++) {
    const startedAt = performance.now()
    const answer = await sendOnce(target.url, parts, isCutOff)
    const tookMs = performance.now() - startedAt
    const retryAfter = typeof answer === 'object' && answer.status === 429 ? Number(answer.headers['retry-after']) : 0
    if (!(retryAfter > 0) || waits === MAX_WAITS) return { answer, tookMs }
    await sleep(retryAfter * 1_000)
  }
}

/** Sends the parts one after another and reads one answer, unless the connection ends or nothing comes. */
async function sendOnce(url: URL, parts: string[], isCutOff: boolean): Promise<Reply> {
  const socket = open(url)
  try {
    return await new Promise((resolve) => {
      let received = ''
      const timer = setTimeout(() => resolve('silent'), HANG_MS)
      const done = (answer: Answer | 'closed') => {
        clearTimeout(timer)
        resolve(answer)
      }
      socket.setEncoding('latin1')
      socket.on('data', (text) => {
        received += text
        const answer = readAnswer(received, parts[0]?.startsWith('HEAD ') === true)
        if (answer !== undefined) done(answer)
      })
      socket.on('error', () => done('closed'))
      socket.on('close', () => done('closed'))
      void sendParts(socket, parts, isCutOff)
    })
  } finally {
    socket.destroy()
  }
}

const open = (url: URL): Socket => {
  const { hostname: host, protocol } = url
  const port = Number(url.port) || (protocol === 'https:' ? 443 : 80)
  return protocol === 'https:' ? connectTls({ host, port, servername: host }) : connect({ host, port })
}

async function sendParts(socket: Socket, parts: string[], isCutOff: boolean): Promise<void> {
  socket.setNoDelay(true)
  for (const part of parts) {
    socket.write(part, 'latin1')
    // Apart enough to arrive apart, mostly.
    if (parts.length > 1) await sleep(2)
  }
  if (isCutOff) socket.end()
}

/** The first whole answer in `text`, interim ones passed over; of what goes on the head is enough. */
function readAnswer(text: string, isHead: boolean): Answer | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n')
  const status = Number(statusLine.split(' ')[1])
  const rest = text.slice(end + 4)
  if (status >= 100 && status < 200) return readAnswer(rest, isHead)
  const headers = Object.fromEntries(
    lines.map((line) => {
      const [name, value] = splitOnce(line, ':')
      return [name.toLowerCase(), value.trim()]
    }),
  )
  const length = headers['content-length']
  const isWhole = isHead || status === 204 || status === 304 || length === undefined || rest.length >= Number(length)
  if (!isWhole) return undefined
  const body = length === undefined ? rest : rest.slice(0, Number(length))
  return { status, headers, body: Buffer.from(body, 'latin1').toString() }
}
