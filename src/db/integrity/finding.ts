// What can be wrong with a store, and where.

export const INTEGRITY_RULES = {
  object_missing: 'every constraint, index, trigger and function of the schema is there, and valid',
  object_different: 'every object of the schema is as the migrations made it',
  head_wrong: 'there is one head, and it is the last position',
  position_missing: 'every event has a position from 1 on',
  position_gap: 'positions are contiguous',
  position_twice: 'no position is given twice',
  version_gap: 'versions of a stream are contiguous from 1 on, and in the order of positions',
  version_twice: 'no version of a stream is given twice',
  id_missing: 'every event has an id',
  id_twice: 'no event id is used twice',
  snapshot_ahead: 'no snapshot is ahead of its stream',
  consumer_ahead: 'no consumer is ahead of the head',
} as const

export type IntegrityRule = keyof typeof INTEGRITY_RULES

/** One thing that is wrong. */
export interface IntegrityFinding {
  rule: IntegrityRule
  /** In words, with the numbers. */
  detail: string
  /** Of the event that shows it. */
  position: number | null
  stream_id: string | null
}
