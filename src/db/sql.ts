// Pieces of SQL that several statements share.

/** A quoted SQL identifier. */
export const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** A timestamptz expression as RFC 3339 text in UTC with microseconds. */
export const rfc3339 = (expression: string): string =>
  `to_char(${expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

/**
 * The line of JSON that an event leaves as, for a row of `events` named `e`. Text concatenation passes the stored
 * bytes through: digits come back as they came, and it is three times as fast as json_build_object.
 */
export const EVENT_JSON = [
  `'{"position":' || e.position || ',"stream_id":' || to_json(e.stream_id) || ',"version":' || e.version`,
  `',"id":"' || e.event_id || '","type":' || to_json(e.event_type)`,
  `CASE WHEN e.is_json THEN ',"data":' || convert_from(e.event_data, 'UTF8')`,
]
  .join(' || ')
  .concat(` ELSE ',"data_base64":"' || translate(encode(e.event_data, 'base64'), E'\\n', '') || '"' END`)
  .concat(` || CASE WHEN e.content_type IS NOT NULL THEN ',"content_type":' || to_json(e.content_type)`)
  .concat(` WHEN e.is_json THEN ',"content_type":"application/json"'`)
  .concat(` ELSE ',"content_type":"application/octet-stream"' END`)
  .concat(` || ',"metadata":' || coalesce(e.metadata::text, 'null')`)
  .concat(` || ',"created_at":"' || ${rfc3339('e.created_at')} || '"}'`)
