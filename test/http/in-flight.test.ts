import type { ServerResponse } from 'node:http'
import t from 'tap'
import { InFlight } from '../../src/http/in-flight.ts'

const response = () => ({}) as ServerResponse

t.test('responses come and go in any order, each of them once', (t) => {
  const inFlight = new InFlight()
  const [a, b, c] = [response(), response(), response()]
  for (const each of [a, b, b, c]) inFlight.add(each)
  t.equal(inFlight.size, 3)
  inFlight.delete(b)
  inFlight.delete(b)
  inFlight.delete(response())
  t.equal(inFlight.size, 2)
  t.same(new Set(inFlight), new Set([a, c]))
  inFlight.add(b)
  t.same(new Set(inFlight), new Set([a, b, c]))
  for (const each of [a, b, c]) inFlight.delete(each)
  t.same([inFlight.size, ...inFlight], [0])
  t.end()
})

t.test('one that ends while they are gone through is left out', (t) => {
  const inFlight = new InFlight()
  const [a, b] = [response(), response()]
  inFlight.add(a)
  inFlight.add(b)
  const seen: ServerResponse[] = []
  for (const each of inFlight) {
    seen.push(each)
    inFlight.delete(a)
    inFlight.delete(b)
  }
  t.equal(seen.length, 1)
  t.end()
})
