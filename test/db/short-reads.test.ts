import t from 'tap'
import { ShortReads } from '../../src/db/short-reads.ts'

type Row = (string | null)[]

/** Reads whose statements are answered by hand; each stream `s<k>` has k events. */
function readsByHand() {
  const batches: { streams: string[]; answer(): void; fail(error: Error): void }[] = []
  const reads = new ShortReads('public', ({ values }) => {
    const streams = values[0] as string[]
    return new Promise<Row[]>((resolve, reject) => {
      batches.push({ streams, answer: () => resolve(streams.map(rowOf).toReversed()), fail: reject })
    })
  })
  const read = (k: number) => reads.read({ streamId: `s${k}`, fromVersion: 1, limit: 16 })
  return { read, batches }
}

function rowOf(stream: string, index: number): Row {
  const length = Number(stream.slice(1))
  const lines = Array.from({ length }, (_, i) => `{"n":${i}}`).join(',')
  return [
    `${index + 1}`,
    `${length}`,
    '500',
    `${length}`,
    length === 0 ? null : `${length}`,
    lines === '' ? null : lines,
  ]
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

t.test('reads that arrive while others are under way go together, and each gets its own events', async (t) => {
  const { read, batches } = readsByHand()
  const first = read(2)
  const later = [read(0), read(3), read(16)]
  t.same(
    batches.map(({ streams }) => streams),
    [['s2']],
    'who comes alone does not wait',
  )
  batches[0]?.answer()
  await first
  t.same(batches[1]?.streams, ['s0', 's3', 's16'])
  batches[1]?.answer()
  const pages = (await Promise.all([first, ...later])).map(({ page: { bytes, ...rest } }) => ({
    ...rest,
    text: bytes.toString(),
  }))
  t.match(pages, [
    { head: 2, count: 2, last: 2, isFull: false, text: '{"n":0},{"n":1},' },
    { head: 0, count: 0, isFull: false, text: '' },
    { head: 3, count: 3, last: 3, isFull: false },
    { head: 16, count: 16, last: 16, isFull: true },
  ])
})

t.test('a batch that hangs holds nobody up', async (t) => {
  const { read, batches } = readsByHand()
  const hung = read(1)
  const behind = [read(2), read(3)]
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.same(batches[1]?.streams, ['s2', 's3'])
  batches[1]?.answer()
  t.match(await Promise.all(behind), [{ page: { count: 2 } }, { page: { count: 3 } }])
  batches[0]?.answer()
  t.match(await hung, { page: { count: 1 } })
})

t.test('a statement that fails fails its own reads, and the next ones are sent', async (t) => {
  const { read, batches } = readsByHand()
  const [one, two, three] = [read(1), read(2), read(3)]
  batches[0]?.fail(new Error('gone'))
  await t.rejects(one, { message: 'gone' })
  await settle()
  batches[1]?.answer()
  t.match(await Promise.all([two, three]), [{ page: { count: 2 } }, { page: { count: 3 } }])
})

t.test('a statement takes 64 reads at most', async (t) => {
  const { read, batches } = readsByHand()
  const reads = Array.from({ length: 150 }, () => read(1))
  batches[0]?.answer()
  await settle()
  t.same(
    batches.map(({ streams }) => streams.length),
    [1, 64, 64, 21],
  )
  for (const batch of batches) batch.answer()
  await Promise.all(reads)
})
