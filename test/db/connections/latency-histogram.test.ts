import t from 'tap'
import { LatencyHistogram } from '../../../src/db/connections/latency-histogram.ts'

t.test('Quantiles are right to 6 % from microseconds to minutes', (t) => {
  for (const scale of [0.001, 0.01, 1, 60]) {
    const histogram = new LatencyHistogram(0)
    const values = Array.from({ length: 1_000 }, (_, i) => (i + 1) * scale)
    for (const value of values) histogram.record(value, 0)
    const quantiles = histogram.quantiles(0)
    for (const [name, share] of Object.entries({ p50_ms: 0.5, p95_ms: 0.95, p99_ms: 0.99, max_ms: 1 })) {
      const exact = 1_000 * share * scale
      const found = quantiles?.[name as 'p50_ms'] ?? Number.NaN
      t.ok(Math.abs(found - exact) <= exact * 0.0626 + 0.0005, `${name} of ${scale}: ${found} for ${exact}`)
    }
  }
  t.end()
})

t.test('What is longer than two minutes counts as that, and the maximum is exact', (t) => {
  const histogram = new LatencyHistogram(0)
  histogram.record(12.345, 0)
  t.match(histogram.quantiles(0), { p50_ms: 12.345, max_ms: 12.345 })
  histogram.record(1e9, 0)
  t.equal(histogram.quantiles(0)?.max_ms, 134_217.727)
  t.end()
})

t.test('After one to two minutes an entry is forgotten, but counted', (t) => {
  const histogram = new LatencyHistogram(0)
  t.equal(histogram.quantiles(0), null)
  histogram.record(5, 1_000)
  t.equal(histogram.quantiles(61_000)?.max_ms, 5, 'still there after a minute')
  histogram.record(1, 62_000)
  t.equal(histogram.quantiles(62_000)?.max_ms, 5)
  t.equal(histogram.quantiles(122_000)?.max_ms, 1, 'only the younger one is left')
  t.equal(histogram.quantiles(500_000), null, 'after a long silence nothing is')
  t.equal(histogram.count, 2)
  t.end()
})
