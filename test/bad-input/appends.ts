// Conditions, retries, several streams at once, imports.

import {
  badStream,
  type Case,
  conflict,
  created,
  invalid,
  JSON_TYPE,
  LINES_TYPE,
  malformed,
  ONE_EVENT,
  ok,
  post,
  reused,
  unstorable,
} from './case.ts'

const expecting = (version: string, target = '/streams/$STREAM/events') =>
  post(target, `{"expected_version":${version},"events":[{"type":"A"}]}`)
const withHeader = (header: string, body = ONE_EVENT) =>
  post('/streams/$STREAM/events', body, `${JSON_TYPE}${header}\r\n`)
const failed: Case[1] = [412, 'version_conflict']

const CONDITIONS: Case[] = [
  ['an older version', conflict, expecting('1')],
  ['version 0 of a stream that exists', conflict, expecting('0')],
  ['2^53 - 1', conflict, expecting('9007199254740991')],
  ['2^53', invalid, expecting('9007199254740992')],
  ['a version that is a text', invalid, expecting('"3"')],
  ['a negative version', invalid, expecting('-1')],
  ['half a version', invalid, expecting('1.5')],
  ['next to nothing', invalid, expecting('1e-400', '/streams/$NEW/events')],
  ['a little less than nothing', invalid, expecting('-1e-400', '/streams/$NEW/events')],
  ['a little more than the version', invalid, expecting('3.00000000000000000001')],
  ['a little more than 2^53 - 1', invalid, expecting('9007199254740991.4')],
  ['a version that is null', invalid, expecting('null')],
  ['a version that is true', invalid, expecting('true')],
  ['a version that is an object', invalid, expecting('{"version":3}')],
  ['a version of 1e400', invalid, expecting('1e400')],
  ['a word in capitals', invalid, expecting('"ANY"')],
  ['a word of another store', invalid, expecting('"no_stream"')],
  ['exists, of a stream that does not', conflict, expecting('"exists"', '/streams/$NEW/events')],
  ['resync of a conflict', conflict, expecting('1', '/streams/$STREAM/events?resync=true')],
  ['resync of a version to come', conflict, expecting('1000', '/streams/$STREAM/events?resync=true')],
  ['resync that is no boolean', invalid, expecting('1', '/streams/$STREAM/events?resync=1')],
  ['resync twice', invalid, expecting('1', '/streams/$STREAM/events?resync=true&resync=true')],
  ['a tag of another version', failed, withHeader('If-Match: "1"')],
  ['a tag of 2^53 - 1', failed, withHeader('If-Match: "9007199254740991"')],
  ['a tag of 2^53', invalid, withHeader('If-Match: "9007199254740992"')],
  ['a tag without quotes', invalid, withHeader('If-Match: 3')],
  ['a weak tag', invalid, withHeader('If-Match: W/"3"')],
  ['a tag with a zero before it', invalid, withHeader('If-Match: "03"')],
  ['a negative tag', invalid, withHeader('If-Match: "-1"')],
  ['a tag with a blank', invalid, withHeader('If-Match: "3 "')],
  ['an empty tag', invalid, withHeader('If-Match: ""')],
  ['no tag', invalid, withHeader('If-Match:')],
  ['a list of tags', invalid, withHeader('If-Match: "3", "4"')],
  ['two headers of a tag', invalid, withHeader('If-Match: "3"\r\nIf-Match: "3"')],
  ['an asterisk in quotes', invalid, withHeader('If-Match: "*"')],
  ['two asterisks', invalid, withHeader('If-Match: *, *')],
  ['a word for a tag', invalid, withHeader('If-Match: any')],
  ['no tag may match, of a stream that exists', failed, withHeader('If-None-Match: *')],
  [
    'any tag may match, of a stream that does not',
    failed,
    post('/streams/$NEW/events', ONE_EVENT, `${JSON_TYPE}If-Match: *\r\n`),
  ],
  ['a version that may not match', invalid, withHeader('If-None-Match: "1"')],
  ['an empty list that may not match', invalid, withHeader('If-None-Match:')],
  ['both headers', invalid, withHeader('If-Match: "3"\r\nIf-None-Match: *')],
  ['a header against the body', invalid, withHeader('If-Match: "3"', '{"expected_version":2,"events":[{"type":"A"}]}')],
  ['a header and any', invalid, withHeader('If-Match: "3"', '{"expected_version":"any","events":[{"type":"A"}]}')],
  [
    'a header and the same in the body',
    failed,
    withHeader('If-Match: "1"', '{"expected_version":1,"events":[{"type":"A"}]}'),
  ],
]

const stored = (body: string, stream = '$STREAM') => post(`/streams/${stream}/events`, `{"events":[${body}]}`)

const RETRIES: Case[] = [
  ['a stored event', created, stored('{"type":"A","data":{"n":1},"id":"$EVENT1"}')],
  [
    'a stored event in other words',
    created,
    stored('{"id":"$EVENT1","data":{ "n" : 1.0e0 },"type":"A","metadata":null}'),
  ],
  [
    'all stored events',
    created,
    stored(
      '{"type":"A","data":{"n":1},"id":"$EVENT1"},{"type":"A","data":{"n":2},"id":"$EVENT2"},{"type":"A","data":{"n":3},"id":"$EVENT3"}',
    ),
  ],
  ['other data', reused, stored('{"type":"A","data":{"n":2},"id":"$EVENT1"}')],
  ['data that is a bit off', reused, stored('{"type":"A","data":{"n":1.0000000000000000001},"id":"$EVENT1"}')],
  ['no data', reused, stored('{"type":"A","id":"$EVENT1"}')],
  ['another type', reused, stored('{"type":"B","data":{"n":1},"id":"$EVENT1"}')],
  ['other metadata', reused, stored('{"type":"A","data":{"n":1},"metadata":{},"id":"$EVENT1"}')],
  [
    'another content type',
    reused,
    stored('{"type":"A","data":{"n":1},"content_type":"application/x+json","id":"$EVENT1"}'),
  ],
  ['the same bytes', reused, stored('{"type":"A","data_base64":"eyJuIjoxfQ==","id":"$EVENT1"}')],
  ['another stream', reused, stored('{"type":"A","data":{"n":1},"id":"$EVENT1"}', '$NEW')],
  [
    'another order',
    reused,
    stored('{"type":"A","data":{"n":2},"id":"$EVENT2"},{"type":"A","data":{"n":1},"id":"$EVENT1"}'),
  ],
  ['a gap', reused, stored('{"type":"A","data":{"n":1},"id":"$EVENT1"},{"type":"A","data":{"n":3},"id":"$EVENT3"}')],
  ['a new one behind', reused, stored('{"type":"A","data":{"n":1},"id":"$EVENT1"},{"type":"A"}')],
  ['a new one before', reused, stored('{"type":"A","id":"$ID"},{"type":"A","data":{"n":1},"id":"$EVENT1"}')],
  ['an id twice', invalid, stored('{"type":"A","id":"$ID"},{"type":"A","id":"$ID"}', '$NEW')],
  [
    'a stored id twice',
    invalid,
    stored('{"type":"A","data":{"n":1},"id":"$EVENT1"},{"type":"A","data":{"n":1},"id":"$EVENT1"}'),
  ],
  ['a stored id and a bad value', unstorable, stored('{"type":"A","data":1e400,"id":"$EVENT1"}')],
]

const APPEND = '{"stream_id":"$NEW","events":[{"type":"A"}]}'
const toMany = (body: string) => post('/events', body)
const of = (id: string) => toMany(`{"appends":[{"stream_id":${id},"events":[{"type":"A"}]}]}`)

const SEVERAL: Case[] = [
  ['nothing', invalid, toMany('{}')],
  ['no append', invalid, toMany('{"appends":[]}')],
  ['null for the appends', invalid, toMany('{"appends":null}')],
  ['a number for an append', invalid, toMany('{"appends":[1]}')],
  ['an append without a stream', invalid, toMany('{"appends":[{"events":[{"type":"A"}]}]}')],
  ['an append without events', invalid, toMany('{"appends":[{"stream_id":"$NEW"}]}')],
  ['an append of no events', invalid, toMany('{"appends":[{"stream_id":"$NEW","events":[]}]}')],
  ['a stream that is a number', invalid, of('1')],
  ['an empty stream', badStream, of('""')],
  ['a stream of two dots', badStream, of('".."')],
  ['NUL in a stream', badStream, of('"a\\u0000"')],
  ['a lone surrogate in a stream', badStream, of('"\\ud800"')],
  ['a stream of 256 bytes', badStream, of(`"${'a'.repeat(256)}"`)],
  ['a stream twice', invalid, toMany(`{"appends":[${APPEND},${APPEND}]}`)],
  ['a member that there is not', invalid, toMany(`{"appends":[${APPEND}],"x":1}`)],
  [
    '101 appends',
    invalid,
    toMany(
      `{"appends":[${Array.from({ length: 101 }, (_, i) => `{"stream_id":"$NEW-${i}","events":[{"type":"A"}]}`).join()}]}`,
    ),
  ],
  [
    '101 checks',
    invalid,
    toMany(`{"appends":[${APPEND}],"checks":[${Array(101).fill('{"stream_id":"a","expected_version":0}').join()}]}`),
  ],
  [
    '1,001 events in two appends',
    invalid,
    toMany(
      `{"appends":[{"stream_id":"$NEW-1","events":[${Array(501).fill('{"type":"A"}').join()}]},{"stream_id":"$NEW-2","events":[${Array(500).fill('{"type":"A"}').join()}]}]}`,
    ),
  ],
  ['checks alone', invalid, toMany('{"checks":[{"stream_id":"$STREAM","expected_version":3}]}')],
  ['null for the checks', invalid, toMany(`{"appends":[${APPEND}],"checks":null}`)],
  ['a check of nothing', invalid, toMany(`{"appends":[${APPEND}],"checks":[{"stream_id":"$STREAM"}]}`)],
  [
    'a check that fails',
    conflict,
    toMany(`{"appends":[${APPEND}],"checks":[{"stream_id":"$STREAM","expected_version":0}]}`),
  ],
  [
    'an append that fails',
    conflict,
    toMany(`{"appends":[${APPEND},{"stream_id":"$STREAM","expected_version":0,"events":[{"type":"A"}]}]}`),
  ],
  [
    'an id in two appends',
    invalid,
    toMany(
      '{"appends":[{"stream_id":"$NEW-1","events":[{"type":"A","id":"$ID"}]},{"stream_id":"$NEW-2","events":[{"type":"A","id":"$ID"}]}]}',
    ),
  ],
  [
    'a stored id in another stream',
    reused,
    toMany('{"appends":[{"stream_id":"$NEW","events":[{"type":"A","data":{"n":1},"id":"$EVENT1"}]}]}'),
  ],
  [
    'a stored append and a new one',
    reused,
    toMany(`{"appends":[{"stream_id":"$STREAM","events":[{"type":"A","data":{"n":1},"id":"$EVENT1"}]},${APPEND}]}`),
  ],
  [
    'a bad value in the second append',
    unstorable,
    toMany(`{"appends":[${APPEND},{"stream_id":"$NEW-2","events":[{"type":"A","data":"\\u0000"}]}]}`),
  ],
  ['atomic that is a text', invalid, toMany(`{"appends":[${APPEND}],"atomic":"yes"}`)],
  ['atomic that is null', invalid, toMany(`{"appends":[${APPEND}],"atomic":null}`)],
  ['checks, and not atomic', invalid, toMany(`{"appends":[${APPEND}],"atomic":false,"checks":[]}`)],
  ['a stream twice, and not atomic', invalid, toMany(`{"appends":[${APPEND},${APPEND}],"atomic":false}`)],
  ['no append, and not atomic', invalid, toMany('{"appends":[],"atomic":false}')],
  [
    'bad appends, and not atomic',
    ok,
    toMany(
      '{"atomic":false,"appends":[1,{"stream_id":"..","events":[{"type":"A"}]},{"stream_id":"$NEW","events":[{"type":"A","data":1e400}]}]}',
    ),
  ],
  ['a query parameter', invalid, post('/events?resync=true', `{"appends":[${APPEND}]}`)],
  [
    'a tag that would be passed over',
    invalid,
    post('/events', `{"appends":[${APPEND}]}`, `${JSON_TYPE}If-Match: "0"\r\n`),
  ],
  ['no tag may match', invalid, post('/events', `{"appends":[${APPEND}]}`, `${JSON_TYPE}If-None-Match: *\r\n`)],
]

const lines = (text: string | Buffer) => post('/import', text, LINES_TYPE)
const LINE = '{"stream_id":"$NEW","type":"A"}\n'

const IMPORTS: Case[] = [
  ['a line', ok, lines(LINE)],
  ['blank lines', ok, lines('\n \r\n\n')],
  ['no body', malformed, post('/import', '', LINES_TYPE)],
  ['a line that is cut off', malformed, lines(`${LINE}{"stream_id":`)],
  ['two values on a line', malformed, lines('{"stream_id":"$NEW","type":"A"}{"stream_id":"$NEW","type":"A"}')],
  ['a line that is no UTF-8', malformed, lines(Buffer.from('{"stream_id":"$NEW","type":"\xff"}', 'latin1'))],
  ['a line with a byte order mark', malformed, lines(`\ufeff${LINE}`)],
  ['an array for a line', invalid, lines('[]\n')],
  ['a line without a stream', invalid, lines(`${LINE}{"type":"A"}\n`)],
  ['a line of an append', invalid, lines('{"stream_id":"$NEW","events":[]}\n')],
  ['a key twice on a line', invalid, lines('{"stream_id":"$NEW","type":"A","type":"A"}\n')],
  ['version 0 on a line', invalid, lines('{"stream_id":"$NEW","type":"A","version":0}\n')],
  ['two dots for a stream', badStream, lines('{"stream_id":"..","type":"A"}\n')],
  ['a tag for lines', invalid, post('/import', LINE, `${LINES_TYPE}If-Match: *\r\n`)],
  ['NUL on a line', unstorable, lines(`${LINE}{"stream_id":"$NEW","type":"A","data":"\\u0000"}\n`)],
]

export const APPENDS: Case[] = [...CONDITIONS, ...RETRIES, ...SEVERAL, ...IMPORTS]
