import t from 'tap'
import { bandOf, type SizingInputs, sizePool } from '../../../src/db/connections/pool-sizing.ts'

const example: SizingInputs = {
  requestsPerSecond: 1000,
  holdMs: 10,
  requestMs: 50,
  buffer: 5,
  cores: 4,
  spindles: 1,
  replicas: 1,
  poolMax: 20,
}
const server = { max_connections: 200, reserved: 3, used: 9 }

const formula = (inputs: Partial<SizingInputs>, name: string) =>
  sizePool({ ...example, ...inputs }, 'production', server).formulas.find((each) => each.name === name)

t.test('The formula of the guide gives 205 as written, and says that Little’s law is meant', (t) => {
  t.match(formula({}, 'seed'), { connections: 205, formula: '(1000/s × 0.01 s) / 0.05 s + 5', note: /Use littles_law/ })
  t.match(formula({}, 'littles_law'), { connections: 15, formula: '1000/s × 0.01 s + 5' })
  t.equal(sizePool(example, 'production', server).recommended, 15)
  t.end()
})

t.test('A part of a connection is a whole one, and rounding errors are none', (t) => {
  t.equal(formula({ requestsPerSecond: 101, buffer: 0 }, 'littles_law')?.connections, 2)
  t.equal(formula({ requestsPerSecond: 300, holdMs: 0.1 * 3 * 1000, buffer: 0 }, 'littles_law')?.connections, 90)
  t.equal(formula({ requestsPerSecond: 0, buffer: 0 }, 'littles_law')?.connections, 0)
  t.equal(sizePool({ ...example, requestsPerSecond: 0, buffer: 0 }, undefined, server).recommended, 1)
  t.end()
})

t.test('Cores and spindles: 9 or 10 for four cores, 17 or 18 for eight, with the spindles shown', (t) => {
  t.match(formula({}, 'cores_and_spindles'), { connections: 9, formula: '(2 × 4) + 1', note: /with 1 spindle / })
  t.match(formula({ spindles: 2 }, 'cores_and_spindles'), { connections: 10, note: /with 2 spindles / })
  t.equal(formula({ cores: 8 }, 'cores_and_spindles')?.connections, 17)
  t.equal(formula({ cores: 8, spindles: 2 }, 'cores_and_spindles')?.connections, 18)
  t.end()
})

t.test('What is not known yet gives no number', (t) => {
  t.equal(formula({ holdMs: null }, 'littles_law')?.connections, null)
  t.equal(formula({ requestMs: null }, 'seed')?.connections, null)
  t.equal(formula({ requestMs: null }, 'littles_law')?.connections, 15)
  t.equal(sizePool({ ...example, holdMs: null }, 'production', null).recommended, 9, 'then what the server works on')
  t.end()
})

t.test('The bands of the guide, at their borders', (t) => {
  const band = (rate: number) => {
    const { min, max } = bandOf(rate, 'production')
    return [min, max]
  }
  t.same(band(0), [20, 50])
  t.same(band(99.9), [20, 50])
  t.same(band(100), [50, 100])
  t.same(band(1000), [50, 100])
  t.same(band(1000.1), [100, 200])
  t.match(bandOf(5000, 'development'), { min: 5, max: 5 })
  t.match(bandOf(5000, 'staging'), { min: 10, max: 20 })
  t.match(bandOf(5000), { name: 'high_traffic' }, 'a load that is given counts more than a profile')
  t.end()
})

t.test('Twelve replicas of 20 do not fit into 200, and the sum says so', (t) => {
  const { server_limit: limit, recommended } = sizePool({ ...example, replicas: 12 }, 'production', server)
  t.match(limit, {
    max_connections: 200,
    reserve: 30,
    needed: 270,
    fits: false,
    note: /^12 × 20 \+ 30 = 270 is more than 200/,
  })
  t.equal(limit?.largest_max, 14)
  t.equal(recommended, 14, 'no more is recommended than fits')
  t.end()
})

t.test('What just fits fits', (t) => {
  const limit = (poolMax: number) => sizePool({ ...example, replicas: 10, poolMax }, 'production', server).server_limit
  t.match(limit(17), { needed: 198, fits: true })
  t.match(limit(18), { needed: 208, fits: false })
  const exact = sizePool({ ...example, poolMax: 181 }, 'production', server).server_limit
  t.match(exact, { needed: 200, fits: true, largest_max: 181 })
  t.equal(sizePool({ ...example, replicas: 500 }, 'production', server).server_limit?.largest_max, 0)
  t.equal(sizePool(example, 'production', null).server_limit, null)
  t.end()
})
