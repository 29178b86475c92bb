import { AppError } from '../../errors.ts'

/** 404 `consumer_not_found`. */
export const consumerNotFound = (name: string): AppError =>
  new AppError('consumer_not_found', `There is no consumer ${name}.`)

/** 409 `consumer_paused`. */
export const consumerPaused = (name: string): AppError =>
  new AppError('consumer_paused', `The consumer ${name} is paused.`)

/** 409 for a position that the store has not reached. */
export const aheadOfStore = (position: number, head: number): AppError =>
  new AppError('cursor_ahead', `The position is ${position}, and the last one here is ${head}.`, {
    members: { cursor: position, head },
  })
