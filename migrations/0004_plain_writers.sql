-- description: Give events that are inserted by plain SQL their position and id

-- A version 7 UUID, so that ids given here stay as local in their index as those of the service.
CREATE OR REPLACE FUNCTION annals_event_id() RETURNS UUID
LANGUAGE sql VOLATILE
AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT) FROM 3)
                FROM 1 FOR 6),
            52, 1), 53, 1),
        'hex')::UUID
$$;

-- Takes the head as the append function does, so the same order and the same contiguity hold. The check for
-- a stored row keeps INSERT … ON CONFLICT DO NOTHING from using up a position.
-- SECURITY DEFINER: a writer who may insert events need not be allowed to write the head.
CREATE OR REPLACE FUNCTION annals_number_event() RETURNS TRIGGER
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE annals_head
        SET position = position + 1,
            largest_event_bytes = greatest(largest_event_bytes,
                octet_length(NEW.event_data) + coalesce(octet_length(NEW.metadata::TEXT), 0))
        RETURNING position INTO STRICT NEW.position;
    IF EXISTS (SELECT FROM events WHERE stream_id = NEW.stream_id AND version = NEW.version)
        OR EXISTS (SELECT FROM events WHERE event_id = NEW.event_id)
    THEN
        UPDATE annals_head SET position = position - 1;
    END IF;
    NEW.event_id := coalesce(NEW.event_id, annals_event_id());
    RETURN NEW;
END
$$;

-- Triggers fire in the order of their names. This one is the last, so that none after it changes the row or drops it.
CREATE OR REPLACE TRIGGER zz_annals_number_event
    BEFORE INSERT ON events
    FOR EACH ROW WHEN (NEW.position IS NULL)
    EXECUTE FUNCTION annals_number_event();
