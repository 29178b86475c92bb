import t from 'tap'
import { InMemoryEventStore } from '../../../src/library.ts'
import { eventStoreContract } from '../../support/event-store-contract.ts'

t.test('the in-memory store keeps the contract', async (t) => {
  const store = new InMemoryEventStore()
  await eventStoreContract(t, store)
  const following = store.follow({ after: 'head' })
  const next = following.next()
  await store.close()
  t.same(await next, { value: undefined, done: true }, 'who follows is let go')
})
