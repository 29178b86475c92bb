DROP TRIGGER IF EXISTS annals_write_head ON events;
DROP FUNCTION IF EXISTS annals_write_head();

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
