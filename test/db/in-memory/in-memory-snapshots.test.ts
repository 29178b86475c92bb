import t from 'tap'
import { InMemoryEventLog } from '../../../src/db/in-memory/in-memory-event-log.ts'
import { InMemorySnapshots } from '../../../src/db/in-memory/in-memory-snapshots.ts'
import { FeedTail } from '../../../src/follow/feed-tail.ts'
import { EventStore } from '../../../src/library.ts'
import { snapshotContract } from '../../support/snapshot-contract.ts'

t.test('snapshots in memory keep the contract', async (t) => {
  const log = new InMemoryEventLog()
  const snapshots = new InMemorySnapshots(log)
  const store = new EventStore(log, { snapshots, tail: new FeedTail({ log, isWokenByOthers: () => true }) })
  await snapshotContract(t, store, snapshots)
  await store.close()
})
