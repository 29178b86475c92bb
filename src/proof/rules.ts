// What is proved, one sentence a rule, and what a broken one looks like.

export const RULES = {
  acknowledged_lost: 'nothing that was acknowledged is lost',
  refused_stored: 'nothing that was refused is stored',
  unsent_stored: 'nothing is stored that was not sent',
  content_changed: 'what was sent is what is stored',
  id_twice: 'an event id is stored once',
  batch_torn: 'a batch is stored whole, at contiguous positions and versions, or not at all',
  answer_wrong: 'an acknowledgement gives the versions and positions that are stored',
  replay_differs: 'a replay gives the first answer',
  expected_version_ignored: 'a stream was at the expected version when an append to it was stored',
  refused_without_reason: 'a conflict names a version that the stream had, and a refused id was stored',
  position_gap: 'positions are contiguous and come in order',
  version_gap: 'versions of a stream are contiguous and in the order of positions',
  real_time_order: 'an append that began after another was acknowledged has the higher position',
  stale_read: 'a read sees all that was acknowledged before it began',
  page_differs: 'a page holds what the feed holds, each time it is read',
  follower_differs: 'a follower gets each event once, in order',
  follower_behind: 'a follower arrives at the end',
} as const

export type Rule = keyof typeof RULES

/** A rule that does not hold, with the fewest operations and positions that show it. */
export interface Finding {
  rule: Rule
  detail: string
  /** `n` of operations. */
  operations: number[]
  positions: number[]
}
