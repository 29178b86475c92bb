-- description: Give every event a position and an id, and the store a head
-- breaking: stream_id gets the collation "C", so ORDER BY stream_id becomes byte order; both tables are locked while stored events are numbered

-- Both at once and first: whoever waits for the second while holding the first invites a deadlock.
LOCK TABLE events, snapshots IN ACCESS EXCLUSIVE MODE;

-- Columns of these names may be there already: all of them as below, where a dump of Annals came back without its
-- ledger, or none. Anything else belongs to somebody and stays as it is.
DO $$
DECLARE
    foreign_columns TEXT;
BEGIN
    SELECT string_agg(format('%s.%s', ours.relation, ours.name), ', ') INTO foreign_columns
    FROM (VALUES
        ('events', 'position', 'bigint not null'), ('events', 'event_id', 'uuid not null'),
        ('events', 'content_type', 'text'), ('events', 'is_json', 'boolean not null'),
        ('snapshots', 'content_type', 'text'), ('snapshots', 'is_json', 'boolean not null')
    ) AS ours (relation, name, type)
    JOIN pg_attribute AS a
        ON a.attrelid = ours.relation::regclass AND a.attname = ours.name AND NOT a.attisdropped
    WHERE format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END <> ours.type
        OR a.atthasdef <> (ours.name = 'is_json')
        OR a.attidentity <> ''
        OR (ours.relation = 'events' AND 4 <> (
            SELECT count(*) FROM pg_attribute AS b
            WHERE b.attrelid = 'events'::regclass AND NOT b.attisdropped
                AND b.attname IN ('position', 'event_id', 'content_type', 'is_json')
        ));
    IF foreign_columns IS NOT NULL THEN
        RAISE EXCEPTION 'Annals needs columns of these names, and they are taken: %', foreign_columns
            USING ERRCODE = 'duplicate_column', HINT = 'Rename them first; Annals changes no column that it did not make.';
    END IF;
END
$$;

-- One row: the last position handed out. Whoever appends locks it until its commit, so positions
-- are contiguous and in commit order. The low fill factor keeps its updates on the page (HOT).
-- largest_event_bytes: no event has more bytes of data and metadata, so readers know how long a page may be.
CREATE TABLE IF NOT EXISTS annals_head (
    singleton BOOLEAN PRIMARY KEY DEFAULT true CHECK (singleton),
    position BIGINT NOT NULL,
    largest_event_bytes BIGINT NOT NULL,
    epoch UUID NOT NULL DEFAULT gen_random_uuid()
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- is_json: the data was given as JSON and is its UTF-8 text. A content type of NULL is the usual one
-- (application/json for JSON, else application/octet-stream), which is also right for adopted rows.
ALTER TABLE events
    ADD COLUMN IF NOT EXISTS position BIGINT,
    ADD COLUMN IF NOT EXISTS event_id UUID,
    ADD COLUMN IF NOT EXISTS content_type TEXT,
    ADD COLUMN IF NOT EXISTS is_json BOOLEAN NOT NULL DEFAULT false;

ALTER TABLE snapshots
    ADD COLUMN IF NOT EXISTS content_type TEXT,
    ADD COLUMN IF NOT EXISTS is_json BOOLEAN NOT NULL DEFAULT false;

-- Rows that were there before: ordered by time, stream and version. The running maximum keeps a stream
-- in version order even where a clock went back between two of its events.
-- An UPDATE, because rows of a table that ALTER TABLE rewrites are invisible to a pg_dump that runs meanwhile.
DO $$
DECLARE
    switched RECORD;
    switch_on TEXT[];
    command TEXT;
    adopted BIGINT;
BEGIN
    SELECT count(*) INTO adopted FROM events WHERE position IS NULL;
    IF adopted = 0 THEN
        RETURN;
    END IF;
    RAISE NOTICE 'numbering the % events that are stored already; a million takes about half a minute', adopted;

    -- An event store may forbid updates of its rows, or tell others of them; this one changes no column it had.
    FOR switched IN
        SELECT format('TRIGGER %I', tgname) AS name, tgenabled AS mode
        FROM pg_trigger WHERE tgrelid = 'events'::regclass AND NOT tgisinternal AND tgenabled IN ('O', 'A')
        UNION ALL
        SELECT format('RULE %I', rulename), ev_enabled
        FROM pg_rewrite WHERE ev_class = 'events'::regclass AND ev_enabled IN ('O', 'A')
    LOOP
        EXECUTE 'ALTER TABLE events DISABLE ' || switched.name;
        switch_on := switch_on || format('ENABLE %s%s', CASE switched.mode WHEN 'A' THEN 'ALWAYS ' END, switched.name);
    END LOOP;

    IF pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('64MB') THEN
        PERFORM set_config('work_mem', '64MB', true);
    END IF;
    UPDATE events
    SET position = numbered.position, event_id = gen_random_uuid()
    FROM (
        SELECT place, row_number() OVER (ORDER BY reached_at, stream_id, version) AS position
        FROM (
            SELECT ctid AS place, stream_id COLLATE "C" AS stream_id, version,
                max(created_at) OVER (PARTITION BY stream_id COLLATE "C" ORDER BY version) AS reached_at
            FROM events
        ) AS timed
    ) AS numbered
    WHERE events.ctid = numbered.place;

    FOREACH command IN ARRAY coalesce(switch_on, '{}') LOOP
        EXECUTE 'ALTER TABLE events ' || command;
    END LOOP;
    RAISE NOTICE 'numbered them; checking and indexing';
END
$$;

INSERT INTO annals_head (position, largest_event_bytes)
SELECT coalesce(max(position), 0), coalesce(max(octet_length(event_data) + coalesce(octet_length(metadata::TEXT), 0)), 0)
FROM events
ON CONFLICT (singleton) DO NOTHING;

-- Byte order for GET /streams whatever the database's own collation; rebuilds the index, not the table.
ALTER TABLE events
    ALTER COLUMN stream_id TYPE TEXT COLLATE "C",
    ALTER COLUMN position SET NOT NULL,
    ALTER COLUMN event_id SET NOT NULL;
ALTER TABLE snapshots ALTER COLUMN stream_id TYPE TEXT COLLATE "C";

CREATE UNIQUE INDEX IF NOT EXISTS idx_events_position ON events (position);
CREATE UNIQUE INDEX IF NOT EXISTS idx_events_event_id ON events (event_id);
