// Several statements that hold or fail as one.

import type { QueryArrayResult } from 'pg'
import { AppError } from '../errors.ts'
import type { MeasuredPool } from './connections/pool.ts'
import { isConnectionFailure, isSurelyNotApplied, isWorthAnotherTry, translatePgError } from './pg-errors.ts'
import type { Row, Statement } from './statement.ts'

/** Runs one statement and answers its rows in array mode. */
export type Run = (statement: Statement) => Promise<Row[]>

const MAX_TRIES = 3

/**
 * Runs `work` in a transaction under READ COMMITTED. What fails before its commit was rolled back and is tried again
 * when another try can help, so `work` must do nothing beside its statements.
 * @throws AppError `commit_outcome_unknown` when the commit got no answer
 */
export async function inTransaction<T>(pool: MeasuredPool, work: (run: Run) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt(pool, work)
    } catch (error) {
      if (error instanceof AppError) throw error
      if (tries < MAX_TRIES && isWorthAnotherTry(error)) continue
      throw translatePgError(error)
    }
  }
}

async function attempt<T>(pool: MeasuredPool, work: (run: Run) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  const run: Run = async ({ name, text, values }) => {
    // Prepared statements belong to a session, which a pooler in transaction mode does not keep.
    const prepared = name === undefined || pool.isPooled ? {} : { name }
    const result = (await client.query({ ...prepared, text, values, rowMode: 'array' })) as QueryArrayResult<Row>
    return result.rows
  }
  let result: T
  try {
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED')
    result = await work(run)
  } catch (error) {
    const isLost = isConnectionFailure(error) || (await client.query('ROLLBACK').then(isNothing, () => true))
    client.release(isLost ? (error as Error) : undefined)
    throw error
  }
  try {
    const { command } = await client.query('COMMIT')
    client.release()
    if (command !== 'COMMIT') throw new AppError('internal', 'The database rolled the transaction back.')
    return result
  } catch (error) {
    if (error instanceof AppError) throw error
    client.release(error as Error)
    if (isSurelyNotApplied(error)) throw error
    throw new AppError('commit_outcome_unknown', 'The database did not say whether the change was stored.', {
      cause: error,
    })
  }
}

/** One statement by itself; answers its rows in array mode. */
export async function query(pool: MeasuredPool, { name, text, values }: Statement): Promise<Row[]> {
  const prepared = name === undefined || pool.isPooled ? {} : { name }
  try {
    return (await pool.query({ ...prepared, text, values, rowMode: 'array' })).rows as Row[]
  } catch (error) {
    throw translatePgError(error)
  }
}

/** Whether the database can be reached. @throws AppError why not */
export const checkConnection = (pool: MeasuredPool): Promise<unknown> => query(pool, { text: 'SELECT 1', values: [] })

/**
 * Reads what a change has led to. The change holds, so when the database fails now the answer says that it was applied.
 */
export async function afterChange<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    const problem = translatePgError(error)
    if (problem.status < 500) throw problem
    const members = { ...problem.members, outcome: 'applied' }
    throw new AppError(problem.code, problem.message, { members, cause: problem.cause })
  }
}

const isNothing = (): boolean => false
