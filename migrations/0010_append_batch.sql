-- description: Append a batch whose conditions all hold without a look at each

-- As annals_append, which stays for services of the version before. Nearly always every condition of a batch holds, and
-- then the numbers follow from where an event stands in the batch: going through the conditions one by one would take
-- a sixth of the time of the whole call. Only when one does not hold are they judged one after another.
--   lock_timeout_ms  longest wait for each lock
--   largest_bytes    bytes of data and metadata of the largest event
--   streams          the distinct streams of the batch
--   condition_group  per condition: its group, ascending; a group holds or fails as one
--   condition_stream per condition: index into streams
--   expected         per condition: a version, -1 for any, -2 for exists
--   event_count      per condition: how many events it appends; 0 for a mere check
--   events_before    per condition: how many events those before it append to the same stream
--   lookup_ids, lookup_condition  ids that may be stored already, and the condition each belongs to
--   event_*          per event, in the order of the conditions: its condition, its place within it, and its columns
-- Answers: the position before the batch; per stream the version before the batch. When some condition did not hold also
-- per condition: status 0 applied (or held), 1 version conflict, 2 an id is stored already, 3 the group failed
-- elsewhere; the version the stream had; the first version and position given.
CREATE OR REPLACE FUNCTION annals_append_batch(
    lock_timeout_ms INT,
    largest_bytes BIGINT,
    streams TEXT[],
    condition_group INT[],
    condition_stream INT[],
    expected BIGINT[],
    event_count INT[],
    events_before INT[],
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
    OUT head_before BIGINT,
    OUT versions BIGINT[],
    OUT status INT[],
    OUT current_version BIGINT[],
    OUT first_version BIGINT[],
    OUT first_position BIGINT[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    conditions INT := cardinality(condition_group);
    events_given INT := cardinality(event_ids);
    now_versions BIGINT[];
    last_position BIGINT;
    stamp TIMESTAMPTZ;
    is_stored BOOLEAN[];
    first INT := 1;
    last INT;
    version BIGINT;
    holds BOOLEAN;
BEGIN
    -- Each statement has to see what was committed before the lock was granted.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'annals_append_batch needs READ COMMITTED' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM set_config('lock_timeout', lock_timeout_ms::TEXT, true);

    -- Taken with all events of the batch in mind; given back below where a condition fails.
    UPDATE annals_head
        SET position = annals_head.position + events_given,
            largest_event_bytes = greatest(annals_head.largest_event_bytes, largest_bytes)
        RETURNING annals_head.position - events_given INTO STRICT head_before;
    stamp := clock_timestamp();
    created_at := to_char(stamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

    versions := ARRAY(
        SELECT coalesce((SELECT max(e.version) FROM events e WHERE e.stream_id = s.stream_id), 0)
        FROM unnest(streams) WITH ORDINALITY AS s (stream_id, place)
        ORDER BY s.place
    );

    IF NOT EXISTS (
            SELECT FROM unnest(condition_stream, expected, events_before) AS c (stream, expected, before)
            WHERE c.expected <> -1
                AND c.expected <> versions[c.stream] + c.before
                AND NOT (c.expected = -2 AND versions[c.stream] + c.before > 0)
        ) AND NOT (
            cardinality(lookup_ids) > 0
            AND EXISTS (SELECT FROM unnest(lookup_ids) AS l (id) JOIN events e ON e.event_id = l.id)
        )
    THEN
        INSERT INTO events (
            stream_id, version, event_type, event_data, metadata, created_at,
            position, event_id, content_type, is_json
        )
        SELECT
            streams[condition_stream[e.condition]],
            versions[condition_stream[e.condition]] + events_before[e.condition] + e.place + 1,
            e.type, e.data, e.metadata, stamp, head_before + e.ordinal, e.id, e.content_type, e.is_json
        FROM unnest(
            event_condition, event_place, event_ids, event_types, event_datas,
            event_metadatas, event_content_types, event_is_jsons
        ) WITH ORDINALITY AS e (condition, place, id, type, data, metadata, content_type, is_json, ordinal);
        RETURN;
    END IF;

    now_versions := versions;
    last_position := head_before;
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
            version := now_versions[condition_stream[last]];
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
                first_version[i] := now_versions[condition_stream[i]] + 1;
                first_position[i] := last_position + 1;
                now_versions[condition_stream[i]] := now_versions[condition_stream[i]] + event_count[i];
                last_position := last_position + event_count[i];
            END IF;
        END LOOP;
        first := last + 1;
    END LOOP;

    IF last_position < head_before + events_given THEN
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

END
$$;
