// What the generator sends on each connection, and how it judges the answers.

import { dataOf, EVENT_TYPE } from '../harness/events.ts'
import type { Work } from '../harness/load.ts'
import type { Answer } from './http-connection.ts'

export interface Workload {
  wantsBody: boolean
  /** The next request of a connection. */
  next(connection: number): string
  /** Takes the answer; throws when it is wrong. */
  accept(connection: number, answer: Answer): void
}

/** Told about every acknowledged append: its first position and its first serial number. */
export type Acknowledge = (position: number, serial: number) => void

/** The requests of one kind of work; `connections` of them are under way at a time. */
export function workloadOf(work: Work, connections: number, acknowledge: Acknowledge): Workload {
  switch (work.kind) {
    case 'append':
      return appends(work, connections, acknowledge)
    case 'storm':
      return storm(work, connections, acknowledge)
    case 'replay':
      return replay(work)
    case 'get':
      return gets(work)
  }
}

function appends(work: Work & { kind: 'append' }, connections: number, acknowledge: Acknowledge): Workload {
  const sent = new Float64Array(connections)
  let serial = work.firstSerial
  return {
    wantsBody: true,
    next(connection) {
      sent[connection] = serial
      let events = event(serial++)
      for (let i = 1; i < work.eventsPerRequest; i++) events += `,${event(serial++)}`
      return post(`order-${Math.floor(Math.random() * work.streams)}`, `{"events":[${events}]}`)
    },
    accept(connection, answer) {
      if (answer.status !== 201) throw wrong(answer)
      acknowledge(numberIn(answer.body, '"first_position":'), sent[connection] as number)
    },
  }
}

function storm(work: Work & { kind: 'storm' }, connections: number, acknowledge: Acknowledge): Workload {
  const writers = Array.from({ length: connections }, (_, i) => ({
    turn: i,
    serial: 0,
    versions: work.streams.map(() => 0),
  }))
  let serial = work.firstSerial
  return {
    wantsBody: true,
    next(connection) {
      const writer = writers[connection] as (typeof writers)[0]
      const stream = ++writer.turn % work.streams.length
      writer.serial = serial++
      return post(
        work.streams[stream] as string,
        `{"expected_version":${writer.versions[stream]},"events":[${event(writer.serial)}]}`,
      )
    },
    accept(connection, answer) {
      const writer = writers[connection] as (typeof writers)[0]
      const stream = writer.turn % work.streams.length
      const expected = writer.versions[stream] as number
      if (answer.status === 201) {
        const version = numberIn(answer.body, '"version":')
        if (version !== expected + 1) throw wrong(answer)
        writer.versions[stream] = version
        acknowledge(numberIn(answer.body, '"first_position":'), writer.serial)
        return
      }
      // The version that was expected has existed, so the stream can only be ahead of it.
      const isRight =
        answer.status === 409 &&
        answer.body.includes('"code":"version_conflict"') &&
        numberIn(answer.body, '"expected_version":') === expected &&
        numberIn(answer.body, '"current_version":') > expected
      if (!isRight) throw wrong(answer)
      writer.versions[stream] = numberIn(answer.body, '"current_version":')
    },
  }
}

function replay(work: Work & { kind: 'replay' }): Workload {
  const request = post(work.streamId, work.body)
  return {
    wantsBody: true,
    next: () => request,
    accept(_connection, answer) {
      if (answer.status !== 201 || !answer.body.includes('"replayed":true')) throw wrong(answer)
    },
  }
}

function gets(work: Work & { kind: 'get' }): Workload {
  const requests = work.paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`)
  return {
    wantsBody: false,
    next: () => requests[Math.floor(Math.random() * requests.length)] as string,
    accept(_connection, answer) {
      if (answer.status !== 200) throw wrong(answer)
    },
  }
}

const event = (serial: number): string => `{"type":"${EVENT_TYPE}","data":${dataOf(serial)}}`

const post = (streamId: string, body: string): string =>
  `POST /streams/${streamId}/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n` +
  `content-length: ${body.length}\r\n\r\n${body}`

function numberIn(body: string, label: string): number {
  const at = body.indexOf(label)
  return at === -1 ? Number.NaN : Number.parseInt(body.slice(at + label.length, at + label.length + 17), 10)
}

const wrong = (answer: Answer): Error => new Error(`a wrong answer: ${answer.status} ${answer.body.slice(0, 1_000)}`)
