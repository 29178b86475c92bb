-- description: Create the function that appends one batch

-- One call is one transaction: it takes the head, checks every condition against the versions it then sees,
-- hands out versions and positions, and inserts. READ COMMITTED is needed: each statement has to see what was
-- committed before the lock was granted, and a snapshot older than the lock would not.
--
-- Conditions come in groups that hold or fail as one (an atomic append to several streams is one group).
--   largest_bytes    bytes of data and metadata of the largest event
--   streams          the distinct streams of the batch
--   condition_group  per condition: its group, ascending
--   condition_stream per condition: index into streams
--   expected         per condition: a version, -1 for any, -2 for exists
--   event_count      per condition: how many events it appends; 0 for a mere check
--   lookup_ids, lookup_condition  ids that may be stored already, and the condition each belongs to
--   event_*          per event: its condition, its place within it, and its columns
-- Answers per condition: status 0 applied (or held), 1 version conflict, 2 an id is stored already,
-- 3 the group failed elsewhere; the version the stream had; the first version and position given.
CREATE OR REPLACE FUNCTION annals_append(
    lock_timeout_ms INT,
    largest_bytes BIGINT,
    streams TEXT[],
    condition_group INT[],
    condition_stream INT[],
    expected BIGINT[],
    event_count INT[],
    lookup_ids UUID[],
    lookup_condition INT[],
    event_condition INT[],
    event_place INT[],
    event_ids UUID[],
    event_types TEXT[],
    event_datas BYTEA[],
    event_metadatas JSONB[],
    event_content_types TEXT[],
    event_is_jsons BOOLEAN[],
    OUT created_at TEXT,
    OUT status INT[],
    OUT current_version BIGINT[],
    OUT first_version BIGINT[],
    OUT first_position BIGINT[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    last_position BIGINT;
    versions BIGINT[];
    conditions INT := cardinality(condition_group);
    head_before BIGINT;
    stamp TIMESTAMPTZ;
    is_stored BOOLEAN[];
    first INT := 1;
    last INT;
    version BIGINT;
    holds BOOLEAN;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'annals_append needs READ COMMITTED' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM set_config('lock_timeout', lock_timeout_ms::TEXT, true);

    -- Taken with all events of the batch in mind; given back below where a condition fails.
    UPDATE annals_head
        SET position = annals_head.position + cardinality(event_ids),
            largest_event_bytes = greatest(annals_head.largest_event_bytes, largest_bytes)
        RETURNING annals_head.position - cardinality(event_ids) INTO STRICT head_before;
    stamp := clock_timestamp();
    last_position := head_before;

    SELECT array_agg(coalesce((SELECT max(e.version) FROM events e WHERE e.stream_id = s.stream_id), 0) ORDER BY s.place)
        INTO versions
        FROM unnest(streams) WITH ORDINALITY AS s (stream_id, place);

    is_stored := array_fill(false, ARRAY[conditions]);
    IF cardinality(lookup_ids) > 0 THEN
        FOR last IN
            SELECT l.condition
            FROM unnest(lookup_ids, lookup_condition) AS l (id, condition)
            WHERE EXISTS (SELECT FROM events e WHERE e.event_id = l.id)
        LOOP
            is_stored[last] := true;
        END LOOP;
    END IF;

    status := array_fill(0, ARRAY[conditions]);
    current_version := array_fill(0::BIGINT, ARRAY[conditions]);
    first_version := current_version;
    first_position := current_version;

    WHILE first <= conditions LOOP
        holds := true;
        last := first;
        LOOP
            version := versions[condition_stream[last]];
            current_version[last] := version;
            IF is_stored[last] THEN
                status[last] := 2;
                holds := false;
            ELSIF expected[last] <> -1
                AND expected[last] <> version
                AND NOT (expected[last] = -2 AND version > 0)
            THEN
                status[last] := 1;
                holds := false;
            END IF;
            EXIT WHEN last = conditions OR condition_group[last + 1] <> condition_group[first];
            last := last + 1;
        END LOOP;
        FOR i IN first..last LOOP
            IF NOT holds THEN
                IF status[i] = 0 THEN
                    status[i] := 3;
                END IF;
            ELSIF event_count[i] > 0 THEN
                first_version[i] := versions[condition_stream[i]] + 1;
                first_position[i] := last_position + 1;
                versions[condition_stream[i]] := versions[condition_stream[i]] + event_count[i];
                last_position := last_position + event_count[i];
            END IF;
        END LOOP;
        first := last + 1;
    END LOOP;

    IF last_position < head_before + cardinality(event_ids) THEN
        UPDATE annals_head SET position = last_position;
    END IF;
    IF last_position > head_before THEN
        INSERT INTO events (
            stream_id, version, event_type, event_data, metadata, created_at,
            position, event_id, content_type, is_json
        )
        SELECT
            streams[condition_stream[e.condition]], first_version[e.condition] + e.place, e.type, e.data, e.metadata, stamp,
            first_position[e.condition] + e.place, e.id, e.content_type, e.is_json
        FROM unnest(
            event_condition, event_place, event_ids, event_types, event_datas,
            event_metadatas, event_content_types, event_is_jsons
        ) AS e (condition, place, id, type, data, metadata, content_type, is_json)
        WHERE first_position[e.condition] > 0;
    END IF;

    created_at := to_char(stamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
END
$$;

-- The same for one event of one stream, which is what a lone client sends: without arrays it takes half the time.
CREATE OR REPLACE FUNCTION annals_append_one(
    lock_timeout_ms INT,
    largest_bytes BIGINT,
    stream TEXT,
    expected BIGINT,
    has_lookup BOOLEAN,
    id UUID,
    type TEXT,
    data BYTEA,
    meta JSONB,
    media_type TEXT,
    holds_json BOOLEAN,
    OUT created_at TEXT,
    OUT status INT,
    OUT current_version BIGINT,
    OUT first_version BIGINT,
    OUT first_position BIGINT
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    stamp TIMESTAMPTZ;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'annals_append_one needs READ COMMITTED' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM set_config('lock_timeout', lock_timeout_ms::TEXT, true);
    UPDATE annals_head
        SET position = annals_head.position + 1,
            largest_event_bytes = greatest(annals_head.largest_event_bytes, largest_bytes)
        RETURNING annals_head.position INTO STRICT first_position;
    stamp := clock_timestamp();
    SELECT coalesce(max(e.version), 0) INTO current_version FROM events e WHERE e.stream_id = stream;
    status := CASE
        WHEN has_lookup AND EXISTS (SELECT FROM events e WHERE e.event_id = id) THEN 2
        WHEN expected = -1 OR expected = current_version OR (expected = -2 AND current_version > 0) THEN 0
        ELSE 1
    END;
    first_version := current_version + 1;
    IF status = 0 THEN
        INSERT INTO events (
            stream_id, version, event_type, event_data, metadata, created_at,
            position, event_id, content_type, is_json
        ) VALUES (stream, first_version, type, data, meta, stamp, first_position, id, media_type, holds_json);
    ELSE
        UPDATE annals_head SET position = annals_head.position - 1;
        first_version := 0;
        first_position := 0;
    END IF;
    created_at := to_char(stamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
END
$$;
