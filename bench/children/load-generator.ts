// The load generator: keeps `connections` requests under way and measures their answers.

import { setTimeout as sleep } from 'node:timers/promises'
import type { LoadResult, LoadTask } from '../harness/load.ts'
import { serveTask } from './child.ts'
import { type Answer, Connection } from './http-connection.ts'
import { Series } from './series.ts'
import { workloadOf } from './workloads.ts'

const PACE_MS = 2

serveTask(async (task: LoadTask, started): Promise<LoadResult> => {
  const latencies = new Series()
  const positions = new Series()
  const serials = new Series()
  const statuses: Record<string, number> = {}
  const workload = workloadOf(task.work, task.connections, (position, serial) => {
    positions.push(position)
    serials.push(serial)
  })
  let isMeasuring = false
  let isStopping = false
  let inFlight = 0
  let credit = 0
  const idle: Connection[] = []
  let fail: (error: Error) => void = () => {}
  const failed = new Promise<never>((_, reject) => {
    fail = reject
  })

  const send = (connection: Connection) => {
    if (task.ratePerSecond !== undefined && credit < 1) {
      idle.push(connection)
      return
    }
    credit--
    inFlight++
    connection.send(workload.next(connection.index))
  }
  const onAnswer = (connection: Connection, answer: Answer) => {
    if (isMeasuring) latencies.push(performance.now() - connection.sentAt)
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1
    inFlight--
    try {
      workload.accept(connection.index, answer)
    } catch (error) {
      fail(error as Error)
    }
    if (!isStopping) send(connection)
  }
  const { wantsBody } = workload
  const connections = Array.from(
    { length: task.connections },
    (_, i) => new Connection(i, { port: task.port, wantsBody, onAnswer, onError: fail }),
  )
  await Promise.race([Promise.all(connections.map((connection) => connection.opened())), failed])

  const pace = (task.ratePerSecond ?? 0) * (PACE_MS / 1000)
  const pacer = setInterval(() => {
    credit = Math.min(credit + pace, pace * 50)
    while (credit >= 1 && idle.length > 0 && !isStopping) send(idle.pop() as Connection)
  }, PACE_MS)
  if (task.ratePerSecond === undefined) clearInterval(pacer)
  for (const connection of connections) send(connection)

  await Promise.race([sleep(task.warmUpSeconds * 1000), failed])
  const bytesBefore = bytesOf(connections)
  const cpuBefore = process.cpuUsage()
  const startedAt = performance.now()
  isMeasuring = true
  started()
  await Promise.race([sleep(task.seconds * 1000), failed])
  // What is under way is answered before the end, so that every event in the store has been acknowledged.
  isStopping = true
  while (inFlight > 0) await Promise.race([sleep(1), failed])
  const seconds = (performance.now() - startedAt) / 1000
  const cpu = process.cpuUsage(cpuBefore)
  clearInterval(pacer)
  for (const connection of connections) connection.close()
  const sorted = latencies.values.sort()
  return {
    answers: sorted.length,
    seconds,
    p50Ms: sorted[Math.floor(sorted.length * 0.5)] ?? Number.NaN,
    p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
    bytes: bytesOf(connections) - bytesBefore,
    statuses,
    generatorCores: (cpu.user + cpu.system) / 1e6 / seconds,
    positions: positions.values,
    serials: serials.values,
  }
})

const bytesOf = (connections: Connection[]): number =>
  connections.reduce((sum, connection) => sum + connection.bytesRead, 0)
