-- description: Create the table of snapshots
CREATE TABLE IF NOT EXISTS snapshots (
    stream_id TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    state_data BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- As for events: a table of snapshots is adopted, anything else is left alone.
DO $$
DECLARE
    flaws TEXT;
BEGIN
    SELECT string_agg(flaw, '; ' ORDER BY place, flaw) INTO flaws
    FROM (
        SELECT 0, 'it is not an ordinary table'
        FROM pg_class WHERE oid = 'snapshots'::regclass AND relkind <> 'r'
        UNION ALL
        SELECT 1, CASE WHEN a.attname IS NULL THEN format('column %s is missing', expected.name)
            ELSE format('column %s is %s%s, not %s', expected.name, format_type(a.atttypid, a.atttypmod),
                CASE WHEN a.attnotnull THEN ' not null' END, expected.type) END
        FROM (VALUES
            ('stream_id', 'text not null'), ('version', 'bigint not null'), ('state_data', 'bytea not null'),
            ('created_at', 'timestamp with time zone not null')
        ) AS expected (name, type)
        LEFT JOIN pg_attribute AS a
            ON a.attrelid = 'snapshots'::regclass AND a.attname = expected.name AND NOT a.attisdropped
        WHERE format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
            IS DISTINCT FROM expected.type
        UNION ALL
        SELECT 2, format('column %s must be given a value', a.attname)
        FROM pg_attribute AS a
        WHERE a.attrelid = 'snapshots'::regclass AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
            AND a.attname NOT IN ('stream_id', 'version', 'state_data', 'created_at')
        UNION ALL
        SELECT 3, 'nothing keeps stream_id unique'
        WHERE NOT EXISTS (
            SELECT FROM pg_index AS i
            WHERE i.indrelid = 'snapshots'::regclass AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                AND i.indnkeyatts = 1 AND pg_get_indexdef(i.indexrelid, 1, true) = 'stream_id'
        )
    ) AS found (place, flaw);
    IF flaws IS NOT NULL THEN
        RAISE EXCEPTION 'the table snapshots that is already there is not one that Annals can adopt: %', flaws
            USING ERRCODE = 'wrong_object_type',
                HINT = 'Set DATABASE_SCHEMA to a schema of its own, or see docs/how-to/adopt-an-existing-store.md.';
    END IF;
END
$$;
