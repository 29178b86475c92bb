// Thousands of connections that append as fast as they are answered, each waiting as long as `Retry-After` says.

import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface CrowdAnswer {
  /** By performance.now(). */
  sentAt: number
  tookMs: number
  status: number
  code: string | undefined
  retryAfter: number | undefined
  outcome: string | undefined
  ids: string[]
}

export interface CrowdOptions {
  connections: number
  eventsPerRequest: number
  ms: number
}

/** Opens the connections all at once; resolves with every answer when the last one has come. @throws when one breaks off */
export async function appendAsCrowd(url: string, options: CrowdOptions): Promise<CrowdAnswer[]> {
  const answers: CrowdAnswer[] = []
  const endAt = performance.now() + options.ms
  const port = Number(new URL(url).port)
  await Promise.all(Array.from({ length: options.connections }, (_, i) => member(port, i, options, endAt, answers)))
  return answers
}

async function member(
  port: number,
  index: number,
  { eventsPerRequest }: CrowdOptions,
  endAt: number,
  answers: CrowdAnswer[],
): Promise<void> {
  const body = JSON.stringify({ events: Array(eventsPerRequest).fill({ type: 'Crowded', data: { index } }) })
  const request = `POST /streams/crowd-${index}/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const socket = connect(port, '127.0.0.1')
  try {
    do {
      const answer = await exchange(socket, request)
      answers.push(answer)
      if (answer.retryAfter !== undefined) await sleep(answer.retryAfter * 1_000)
    } while (performance.now() < endAt)
  } finally {
    socket.destroy()
  }
}

function exchange(socket: Socket, request: string): Promise<CrowdAnswer> {
  const sentAt = performance.now()
  return new Promise((resolve, reject) => {
    let text = ''
    const fail = (error?: Error) => reject(error ?? new Error('the connection was closed'))
    const read = (part: Buffer) => {
      text += part.toString('latin1')
      const [head = '', json] = text.split('\r\n\r\n', 2)
      if (json === undefined || json.length < Number(/^content-length: (\d+)/im.exec(head)?.[1])) return
      socket.off('data', read).off('error', fail).off('close', fail)
      const retryAfter = /^retry-after: (\d+)/im.exec(head)?.[1]
      const { code, outcome, event_ids: ids = [] } = JSON.parse(json) as Record<string, never>
      resolve({
        ...{ sentAt, tookMs: performance.now() - sentAt, status: Number(head.slice(9, 12)), code, outcome, ids },
        retryAfter: retryAfter === undefined ? undefined : Number(retryAfter),
      })
    }
    socket.on('data', read).once('error', fail).once('close', fail)
    socket.write(request)
  })
}
