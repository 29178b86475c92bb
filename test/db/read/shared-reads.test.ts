import t from 'tap'
import type { PageText, StreamQuery } from '../../../src/db/event-log.ts'
import { SharedReads } from '../../../src/db/read/shared-reads.ts'

/** Reads whose statements are answered by hand; each stream `s<k>` has k events. */
function readsByHand({ mostTogether = 64, enoughForSecond = 1_000 } = {}) {
  const statements: { streams: string[]; answer(): void; fail(error: Error): void }[] = []
  const pageOf = ({ streamId }: StreamQuery) => ({ count: Number(streamId.slice(1)) }) as PageText
  const together = (reads: StreamQuery[]) =>
    new Promise<PageText[]>((resolve, reject) => {
      const streams = reads.map(({ streamId }) => streamId)
      statements.push({ streams, answer: () => resolve(reads.map(pageOf)), fail: reject })
    })
  const shared = new SharedReads({ together, mostTogether, enoughForSecond })
  const read = (k: number) => shared.read({ streamId: `s${k}`, direction: 'forward', limit: 16, maxBytes: 1 })
  return { read, statements, streams: () => statements.map((each) => each.streams) }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

t.test('reads that arrive while others are under way go together, and each gets its own page', async (t) => {
  const { read, statements, streams } = readsByHand()
  const first = read(2)
  await settle()
  const later = [read(0), read(3), read(16)]
  t.same(streams(), [['s2']], 'who comes alone does not wait')
  statements[0]?.answer()
  await first
  t.same(statements[1]?.streams, ['s0', 's3', 's16'])
  statements[1]?.answer()
  t.match(await Promise.all([first, ...later]), [{ count: 2 }, { count: 0 }, { count: 3 }, { count: 16 }])
})

t.test('where enough wait a second statement goes beside the first, and no third one', async (t) => {
  const { read, statements, streams } = readsByHand({ enoughForSecond: 3 })
  const reads = [read(1)]
  await settle()
  reads.push(read(2), read(3))
  await settle()
  t.same(streams(), [['s1']], 'two are not enough')
  reads.push(read(4), read(5))
  await settle()
  t.same(streams(), [['s1'], ['s2', 's3', 's4', 's5']], 'three are, and who came at the same time goes along')
  reads.push(read(6), read(7), read(8))
  await settle()
  t.equal(streams().length, 2)
  statements[0]?.answer()
  await settle()
  t.same(streams()[2], ['s6', 's7', 's8'])
  for (const { answer } of statements) answer()
  t.match(
    await Promise.all(reads),
    [1, 2, 3, 4, 5, 6, 7, 8].map((count) => ({ count })),
  )
})

t.test('a statement that hangs holds nobody up', async (t) => {
  const { read, statements } = readsByHand()
  const hung = read(1)
  await settle()
  const behind = [read(2), read(3)]
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.same(statements[1]?.streams, ['s2', 's3'])
  statements[1]?.answer()
  t.match(await Promise.all(behind), [{ count: 2 }, { count: 3 }])
  statements[0]?.answer()
  t.match(await hung, { count: 1 })
})

t.test('a statement that fails fails its own reads, and the next ones are sent', async (t) => {
  const { read, statements } = readsByHand()
  const one = read(1)
  await settle()
  const [two, three] = [read(2), read(3)]
  statements[0]?.fail(new Error('gone'))
  await t.rejects(one, { message: 'gone' })
  await settle()
  statements[1]?.fail(new Error('gone too'))
  await t.rejects(two, { message: 'gone too' })
  await t.rejects(three, { message: 'gone too' })
})

t.test('a statement takes so many reads at most', async (t) => {
  const { read, statements, streams } = readsByHand()
  const reads = Array.from({ length: 150 }, () => read(1))
  await settle()
  t.same(
    streams().map(({ length }) => length),
    [64, 64, 22],
  )
  for (const statement of statements) statement.answer()
  await Promise.all(reads)
})
