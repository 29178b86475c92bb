// Pieces of SQL that several statements share.

/** A quoted SQL identifier. */
export const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** A timestamptz expression as RFC 3339 text in UTC with microseconds. */
export const rfc3339 = (expression: string): string =>
  `to_char(${expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

const DATA = `CASE WHEN e.is_json THEN '"data":' || convert_from(e.event_data, 'UTF8')
  ELSE '"data_base64":"' || translate(encode(e.event_data, 'base64'), E'\\n', '') || '"' END`
const CONTENT_TYPE = `CASE WHEN e.content_type IS NOT NULL THEN to_json(e.content_type)::text
  WHEN e.is_json THEN '"application/json"' ELSE '"application/octet-stream"' END`

/**
 * The line of JSON that an event leaves as, for a row of `events` named `e`. Text passes the stored bytes through: digits
 * come back as they came, and it takes a third of the time of json_build_object.
 */
export const EVENT_JSON = `format(
  '{"position":%s,"stream_id":%s,"version":%s,"id":"%s","type":%s,%s,"content_type":%s,"metadata":%s,"created_at":"%s"}',
  e.position, to_json(e.stream_id), e.version, e.event_id, to_json(e.event_type), ${DATA}, ${CONTENT_TYPE},
  coalesce(e.metadata::text, 'null'), ${rfc3339('e.created_at')})`
