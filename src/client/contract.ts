// Names for what openapi/openapi.json describes; the shapes themselves are generated.

import type { components, paths } from './api-types.ts'

type Schemas = components['schemas']

export type NewEvent = Schemas['NewEvent']
/** As it was stored. Parsed by JSON.parse, so numbers in `data` beyond a double are rounded here. */
export type StoredEvent = Schemas['Event']
export type ExpectedVersion = Schemas['ExpectedVersion']
export type Appended = Schemas['Appended']
export type MultiAppend = Schemas['MultiAppend']
export type MultiAppended = Schemas['MultiAppended']
export type AppendResults = Schemas['AppendResults']
export type StreamInfo = Schemas['StreamInfo']
export type StreamStanding = Schemas['StreamStanding']
export type NewSnapshot = Schemas['NewSnapshot']
export type SnapshotInfo = Schemas['SnapshotInfo']
export type Snapshot = Schemas['Snapshot']
export type StreamState = Schemas['StreamState']
export type NewConsumer = Schemas['NewConsumer']
export type Consumer = Schemas['Consumer']
export type Lease = Schemas['Lease']
export type Problem = Schemas['Problem']

export type Method = 'get' | 'put' | 'post' | 'delete'

/** Path templates that know the method. */
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never
}[keyof paths]

type Operation<P extends keyof paths, M extends Method> = M extends keyof paths[P] ? paths[P][M] : never

export type PathParameters<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { parameters: { path: infer T } } ? T : undefined

export type QueryOf<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { parameters: { query?: infer T } } ? NonNullable<T> : never

export type BodyOf<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { requestBody: { content: { 'application/json': infer T } } } ? T : undefined

type Json<Response> = Response extends { content: { 'application/json': infer T } } ? T : undefined

/** What a success answers; several when several statuses do. */
export type AnswerOf<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { responses: infer R }
    ? { [S in keyof R & (200 | 201 | 204)]: Json<R[S]> }[keyof R & (200 | 201 | 204)]
    : never
