-- description: Create the table of events
CREATE TABLE IF NOT EXISTS events (
    stream_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    event_type TEXT NOT NULL,
    event_data BYTEA NOT NULL,
    metadata JSONB,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_id, version)
);

-- A table of that name may be there already: an event store is adopted, anything else is left alone.
DO $$
DECLARE
    flaws TEXT;
BEGIN
    SELECT string_agg(flaw, '; ' ORDER BY place, flaw) INTO flaws
    FROM (
        SELECT 0, 'it is not an ordinary table'
        FROM pg_class WHERE oid = 'events'::regclass AND relkind <> 'r'
        UNION ALL
        SELECT 1, CASE WHEN a.attname IS NULL THEN format('column %s is missing', expected.name)
            ELSE format('column %s is %s%s, not %s', expected.name, format_type(a.atttypid, a.atttypmod),
                CASE WHEN a.attnotnull THEN ' not null' END, expected.type) END
        FROM (VALUES
            ('stream_id', 'text not null'), ('version', 'bigint not null'), ('event_type', 'text not null'),
            ('event_data', 'bytea not null'), ('metadata', 'jsonb'), ('created_at', 'timestamp with time zone not null')
        ) AS expected (name, type)
        LEFT JOIN pg_attribute AS a
            ON a.attrelid = 'events'::regclass AND a.attname = expected.name AND NOT a.attisdropped
        WHERE format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
            IS DISTINCT FROM expected.type
        UNION ALL
        SELECT 2, format('column %s must be given a value', a.attname)
        FROM pg_attribute AS a
        WHERE a.attrelid = 'events'::regclass AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
            AND a.attname NOT IN ('stream_id', 'version', 'event_type', 'event_data', 'created_at', 'position', 'event_id')
        UNION ALL
        SELECT 3, 'nothing keeps (stream_id, version) unique'
        WHERE NOT EXISTS (
            SELECT FROM pg_index AS i
            WHERE i.indrelid = 'events'::regclass AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                AND i.indnkeyatts = 2
                AND pg_get_indexdef(i.indexrelid, 1, true) = 'stream_id'
                AND pg_get_indexdef(i.indexrelid, 2, true) = 'version'
        )
    ) AS found (place, flaw);
    IF flaws IS NOT NULL THEN
        RAISE EXCEPTION 'the table events that is already there is no event store that Annals can adopt: %', flaws
            USING ERRCODE = 'wrong_object_type',
                HINT = 'Set DATABASE_SCHEMA to a schema of its own, or see docs/how-to/adopt-an-existing-store.md.';
    END IF;
END
$$;

CREATE INDEX IF NOT EXISTS idx_events_created ON events (created_at);
CREATE INDEX IF NOT EXISTS idx_events_type ON events (event_type);
