-- description: Give every event a position and an id, and the store a head
-- breaking: stream_id gets the collation "C", so ORDER BY stream_id becomes byte order

-- One row: the last position handed out. Whoever appends locks it until its commit, so positions
-- are contiguous and in commit order. The low fill factor keeps its updates on the page (HOT).
CREATE TABLE IF NOT EXISTS annals_head (
    singleton BOOLEAN PRIMARY KEY DEFAULT true CHECK (singleton),
    position BIGINT NOT NULL,
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

-- Byte order for GET /streams whatever the database's own collation; rebuilds the index, not the table.
ALTER TABLE events ALTER COLUMN stream_id TYPE TEXT COLLATE "C";
ALTER TABLE snapshots ALTER COLUMN stream_id TYPE TEXT COLLATE "C";

-- Rows that were there before: ordered by time, stream and version. The running maximum keeps a stream
-- in version order even where a clock went back between two of its events.
DO $$
DECLARE
    adopted BIGINT;
BEGIN
    IF EXISTS (SELECT FROM events WHERE position IS NULL) THEN
        RAISE NOTICE 'numbering the events that are already stored; about % rows',
            (SELECT greatest(reltuples, 0)::BIGINT FROM pg_class WHERE oid = 'events'::regclass);
        UPDATE events
        SET position = numbered.position, event_id = gen_random_uuid()
        FROM (
            SELECT stream_id, version,
                row_number() OVER (ORDER BY reached_at, stream_id, version) AS position
            FROM (
                SELECT stream_id, version,
                    max(created_at) OVER (PARTITION BY stream_id ORDER BY version) AS reached_at
                FROM events
            ) AS timed
        ) AS numbered
        WHERE events.stream_id = numbered.stream_id AND events.version = numbered.version;
        GET DIAGNOSTICS adopted = ROW_COUNT;
        RAISE NOTICE 'numbered % events', adopted;
    END IF;
END
$$;

INSERT INTO annals_head (position)
SELECT coalesce(max(position), 0) FROM events
ON CONFLICT (singleton) DO NOTHING;

ALTER TABLE events
    ALTER COLUMN position SET NOT NULL,
    ALTER COLUMN event_id SET NOT NULL;

CREATE UNIQUE INDEX IF NOT EXISTS idx_events_position ON events (position);
CREATE UNIQUE INDEX IF NOT EXISTS idx_events_event_id ON events (event_id);
