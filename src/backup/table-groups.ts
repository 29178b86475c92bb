// Tables of a store that belong together, and are put back together.

export const GROUPS = {
  events: ['annals_head', 'events'],
  snapshots: ['snapshots'],
  consumers: ['annals_consumers', 'annals_consumer_members', 'annals_consumer_partitions', 'annals_consumer_parked'],
} as const
export type TableGroup = keyof typeof GROUPS
export const TABLE_GROUPS = Object.keys(GROUPS) as TableGroup[]
