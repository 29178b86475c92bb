import t from 'tap'
import { readTime } from '../../src/contract/time-text.ts'

t.test('a time that PostgreSQL takes stays as it came', async (t) => {
  for (const time of [
    '2026-01-31T12:00:00Z',
    '2024-02-29T23:59:60.123456789Z',
    '2026-01-31T12:00:00.123456000+15:59',
  ]) {
    t.equal(readTime(time), time.includes('789') ? '2024-03-01T00:00:00.123457Z' : time)
  }
  t.equal(readTime('2026-01-31t12:00:00z'), '2026-01-31T12:00:00Z')
  t.equal(readTime('2026-01-31T12:00:00 02:00'), '2026-01-31T12:00:00+02:00')
})

t.test('a time between two microseconds is the later one', async (t) => {
  for (const [time, becomes] of [
    ['2026-01-31T12:00:47.7399544Z', '2026-01-31T12:00:47.739955Z'],
    ['2026-01-31T12:00:47.739954001Z', '2026-01-31T12:00:47.739955Z'],
    ['2026-12-31T23:59:59.9999991Z', '2027-01-01T00:00:00.000000Z'],
    ['2026-12-31T23:59:60.999999999+01:00', '2026-12-31T23:00:01.000000Z'],
  ] as const) {
    t.equal(readTime(time), becomes, time)
  }
})

t.test('what PostgreSQL does not take is said in UTC, within the years that it spells alike', async (t) => {
  for (const [time, becomes] of [
    ['2026-01-01T00:00:00.5+16:00', '2025-12-31T08:00:00.500000Z'],
    ['2026-01-01T00:00:00-23:59', '2026-01-01T23:59:00.000000Z'],
    ['0000-01-01T00:00:00Z', '0001-01-01T00:00:00.000000Z'],
    ['9999-12-31T23:59:59.999999999Z', '9999-12-31T23:59:59.000000Z'],
  ] as const) {
    t.equal(readTime(time), becomes, time)
  }
})

t.test('what is no time of RFC 3339 is none', async (t) => {
  for (const text of [
    '2026-01-31',
    '2026-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:60:00Z',
    '2026-01-01T00:00:61Z',
    '2026-01-01T00:00:00',
    '2026-01-01T00:00:00+24:00',
    '2026-01-01T00:00:00+01:60',
    '2026-01-01T00:00:00.Z',
    '2026-01-01T00:00:00.1234567890Z',
    '2026-01-01 00:00:00Z',
    'now',
  ]) {
    t.equal(readTime(text), undefined, text)
  }
})
