import { AppError } from '../errors.ts'

/** 409 for whoever knows the store in an earlier epoch; `current` is that of now. */
export const epochChanged = (current: string | undefined): AppError =>
  new AppError(
    'epoch_changed',
    'The store was restored, or a standby took over: positions may mean other events now.',
    {
      members: { epoch: current ?? null },
    },
  )
