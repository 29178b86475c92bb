// Reads a plain request: one that can be understood in one way only, whatever reads it. What is not plain is left to
// Node's parser, so this one never has to refuse, and never guesses.

import type { IncomingHttpHeaders } from 'node:http'

/** A request without its body. */
export interface PlainHead {
  method: string
  url: string
  /** By name in lower case. */
  headers: IncomingHttpHeaders
  /** Names and values in turns, as they came. */
  rawHeaders: string[]
  /** Bytes up to the body. */
  headBytes: number
  bodyBytes: number
}

/** Says which requests are answered by one write, without anything that streams; the target is split at its `?`. */
export type IsPlainTarget = (method: string, path: string, query: string, accept: string | undefined) => boolean

const MAX_HEAD_BYTES = 8 * 1024
// A path segment's characters (RFC 3986), so nothing that a proxy and we could read in two ways.
const REQUEST_LINE = /(GET|POST) (\/[\w.~%!$&'()*+,;=:@/-]*)(?:\?([\w.~%!$&'()*+,;=:@/?-]*))? HTTP\/1\.1\r\n/y
const HEADER_LINE = /([A-Za-z\d-]+): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)\r\n/y
const LENGTH = /^(?:0|[1-9]\d{0,8})$/
/** Headers that change how the message or the connection is read, or that are a list even when there is one only. */
const NOT_PLAIN = new Set([
  'transfer-encoding',
  'expect',
  'upgrade',
  'te',
  'trailer',
  'http2-settings',
  'proxy-connection',
  'keep-alive',
  'set-cookie',
])

/** The head of the request that `bytes` begin with; undefined when it is not plain, or not there as a whole. */
export function readPlainHead(bytes: Buffer, isPlainTarget: IsPlainTarget): PlainHead | undefined {
  const text = bytes.toString('latin1', 0, Math.min(bytes.length, MAX_HEAD_BYTES))
  REQUEST_LINE.lastIndex = 0
  const [line, method = '', path = '', query] = REQUEST_LINE.exec(text) ?? []
  if (line === undefined) return undefined
  const headers: IncomingHttpHeaders = {}
  const rawHeaders: string[] = []
  let at = line.length
  while (text.charCodeAt(at) !== CARRIAGE_RETURN) {
    HEADER_LINE.lastIndex = at
    const header = HEADER_LINE.exec(text)
    if (header === null) return undefined
    const [all, rawName, value] = header as unknown as [string, string, string]
    const name = rawName.toLowerCase()
    // A second one would have to be joined to the first, or dropped; which one depends on the header.
    if (headers[name] !== undefined || NOT_PLAIN.has(name)) return undefined
    headers[name] = value
    rawHeaders.push(rawName, value)
    at += all.length
  }
  if (text.charCodeAt(at + 1) !== LINE_FEED || headers.host === undefined) return undefined
  const { connection, 'content-length': length } = headers
  if (connection !== undefined && connection !== 'keep-alive' && connection !== 'Keep-Alive') return undefined
  if (method === 'GET' ? length !== undefined : !LENGTH.test(length ?? '')) return undefined
  if (!isPlainTarget(method, path, query ?? '', headers.accept)) return undefined
  return {
    method,
    url: query === undefined ? path : `${path}?${query}`,
    headers,
    rawHeaders,
    headBytes: at + 2,
    bodyBytes: Number(length ?? 0),
  }
}

const CARRIAGE_RETURN = 13
const LINE_FEED = 10
