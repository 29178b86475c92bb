// The events that the bench appends: 200 bytes of JSON data with a serial number, by which each is found again.

export const EVENT_TYPE = 'OrderPlaced'
const DATA_BYTES = 200

/** Serial numbers have 12 digits, so that every event is equally long and the number is always in the same place. */
export const FIRST_SERIAL = 100_000_000_000

const DATA_HEAD = '{"n":'
const FIELDS = ',"customer":"c-20417","currency":"EUR","total":129.95,"items":[{"sku":"A-1042","quantity":2}],"note":"'
const DATA_TAIL = `${FIELDS}${'x'.repeat(DATA_BYTES - DATA_HEAD.length - 12 - FIELDS.length - 2)}"}`

/** Data of the event with this serial number, as JSON text without backslashes or line breaks. */
export const dataOf = (serial: number): string => `${DATA_HEAD}${serial}${DATA_TAIL}`

/** The same as {@link dataOf} as an SQL expression of type bytea. */
export const dataSql = (serial: string): string => `convert_to('${DATA_HEAD}' || ${serial} || '${DATA_TAIL}', 'UTF8')`

/** The serial number of a stored event `e` as an SQL expression. */
export const serialSql = `convert_from(substring(e.event_data FROM ${DATA_HEAD.length + 1} FOR 12), 'UTF8')::bigint`

/** An event id made by the server: version 7 where it has them; else random, which makes the index of ids dearer. */
export const eventIdSql = (major: number): string => (major >= 18 ? 'uuidv7()' : 'gen_random_uuid()')
