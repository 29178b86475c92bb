// Media types and encodings of bodies. Only JSON in UTF-8 as it is; whatever two readers could take for different
// things is refused.

import { gzipSync } from 'node:zlib'
import { badType, type Case, created, JSON_TYPE, LINES_TYPE, malformed, ONE_EVENT, post, send } from './case.ts'

const typed = (type: string) => post('/streams/$NEW/events', ONE_EVENT, `Content-Type: ${type}\r\n`)
const encoded = (encoding: string, body: string | Buffer = ONE_EVENT) =>
  post('/streams/$NEW/events', body, `${JSON_TYPE}Content-Encoding: ${encoding}\r\n`)

// Published ways around Fastify's validation by content type: the body is taken for JSON and its schema is not applied.
const ADVISORIES: Case[] = [
  ['GHSA-3fjj-p79j-c9hh: plain text that names JSON', badType, typed('text/plain; application/json')],
  [
    'GHSA-3fjj-p79j-c9hh: a form that names JSON',
    badType,
    typed('application/x-www-form-urlencoded; application/json'),
  ],
  ['GHSA-3fjj-p79j-c9hh: a type that begins like JSON', badType, typed('application/jsonfoo')],
  ['GHSA-455w-c45v-86rg: the prototype as a type', badType, typed('__proto__')],
  ['GHSA-455w-c45v-86rg: a member of the prototype as a type', badType, typed('toString')],
  [
    'GHSA-mg2h-6x62-wpwc: capitals, and a body that breaks the rules',
    [400, 'validation_failed'],
    post('/streams/$NEW/events', '{"evil":1}', 'Content-Type: ApPlIcAtIoN/JsOn\r\n'),
  ],
  [
    'GHSA-mg2h-6x62-wpwc: a blank before the semicolon',
    badType,
    post('/streams/$NEW/events', '{"evil":1}', 'Content-Type: application/json ;\r\n'),
  ],
  ['GHSA-mg2h-6x62-wpwc: a blank for the semicolon', badType, typed('application/json charset=utf-8')],
  ['GHSA-jx2c-rxcm-jvmq: a tab and a letter', badType, typed('application/json\ta')],
  ['GHSA-jx2c-rxcm-jvmq: a tab before the semicolon', badType, typed('application/json\t;a')],
  ['GHSA-573f-x89g-hqp9: a tail after the subtype', badType, typed('application/json garbage')],
  ['GHSA-573f-x89g-hqp9: a bracket after the subtype', badType, typed('application/json(x')],
  [
    'GHSA-247c-9743-5963: a blank before the type, and a body that breaks the rules',
    [400, 'validation_failed'],
    post('/streams/$NEW/events', '{"evil":1}', 'Content-Type:  application/json\r\n'),
  ],
  [
    'GHSA-247c-9743-5963: a tab before the type, and a body that breaks the rules',
    [400, 'validation_failed'],
    post('/streams/$NEW/events', '{"evil":1}', 'Content-Type: \tapplication/json\r\n'),
  ],
]

export const CONTENT_TYPES: Case[] = [
  ...ADVISORIES,
  ['JSON', created, typed('application/json')],
  ['JSON in capitals', created, typed('APPLICATION/JSON')],
  ['JSON in UTF-8', created, typed('application/json; charset=utf-8')],
  ['JSON in UTF-8 in quotes', created, typed('application/json;charset="UTF-8"')],
  ['no type', badType, post('/streams/$NEW/events', ONE_EVENT, '')],
  ['an empty type', badType, typed('')],
  ['two types', malformed, typed('application/json\r\nContent-Type: text/plain')],
  ['the same type twice', malformed, typed('application/json\r\nContent-Type: application/json')],
  ['a list of types', badType, typed('application/json, text/plain')],
  ['a semicolon and nothing', badType, typed('application/json;')],
  ['a comma and nothing', badType, typed('application/json,')],
  ['JSON in UTF-16', badType, typed('application/json; charset=utf-16')],
  ['JSON in Latin-1', badType, typed('application/json; charset=iso-8859-1')],
  ['JSON in UTF-8 by another name', badType, typed('application/json; charset=utf8')],
  ['an empty charset', badType, typed('application/json; charset=')],
  ['two charsets', badType, typed('application/json; charset=utf-8; charset=utf-16')],
  ['a parameter that JSON has not', badType, typed('application/json; boundary=x')],
  ['a charset within a parameter', badType, typed('application/json; x="charset=utf-8"')],
  ['JSON by another type', badType, typed('text/json')],
  ['JSON of a vendor', badType, typed('application/vnd.api+json')],
  ['a problem', badType, typed('application/problem+json')],
  ['a patch', badType, typed('application/merge-patch+json')],
  ['plain text', badType, typed('text/plain')],
  ['a form', badType, typed('application/x-www-form-urlencoded')],
  [
    'a form in parts',
    badType,
    post(
      '/streams/$NEW/events',
      '--x\r\nContent-Disposition: form-data; name="events"\r\n\r\n[]\r\n--x--\r\n',
      'Content-Type: multipart/form-data; boundary=x\r\n',
    ),
  ],
  ['bytes', badType, typed('application/octet-stream')],
  ['XML', badType, typed('application/xml')],
  ['any type', badType, typed('*/*')],
  ['a type of 8,000 letters', badType, typed(`application/${'a'.repeat(8_000)}`)],
  ['lines where JSON is wanted', badType, post('/streams/$NEW/events', ONE_EVENT, LINES_TYPE)],
  ['JSON where lines are wanted', badType, post('/import', '{"stream_id":"$NEW","type":"A"}')],
  ['the identity encoding', badType, encoded('identity')],
  ['gzip that is gzip', badType, encoded('gzip', gzipSync(ONE_EVENT))],
  ['gzip that is none', badType, encoded('gzip')],
  ['an empty encoding', badType, encoded('')],
  ['brotli', badType, encoded('br')],
  ['gzip that nobody announced', malformed, post('/streams/$NEW/events', gzipSync(ONE_EVENT))],
  [
    'a snapshot as text',
    badType,
    send('PUT', '/streams/$STREAM/snapshot', '{"version":1,"state":1}', 'Content-Type: text/plain\r\n'),
  ],
  ['a consumer as text', badType, send('PUT', '/consumers/$CONSUMER', '{}', 'Content-Type: text/plain\r\n')],
  ['migrations as text', badType, post('/migrations', '{"dry_run":true}', 'Content-Type: text/plain\r\n')],
]
