-- description: Number the rows of a large plain INSERT without writing the head for each

-- Each row left an old version of the head behind, which the next one had to step over: 200,000 rows took minutes. Now the
-- first row of a statement locks the head, those after it count on, and the end of the statement writes the head.
-- annals.numbered holds, until then, the last position and the size of the largest event: it is undone with what it counts.
CREATE OR REPLACE FUNCTION annals_number_event() RETURNS TRIGGER
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    numbered CONSTANT TEXT := current_setting('annals.numbered', true);
    last BIGINT;
    largest BIGINT;
BEGIN
    IF numbered <> '' THEN
        last := split_part(numbered, ' ', 1);
        largest := split_part(numbered, ' ', 2);
    ELSE
        SELECT position, largest_event_bytes INTO STRICT last, largest FROM annals_head FOR NO KEY UPDATE;
    END IF;
    NEW.position := last + 1;
    NEW.event_id := coalesce(NEW.event_id, annals_event_id());
    -- The check for a stored row keeps INSERT … ON CONFLICT DO NOTHING from using up a position.
    IF NOT EXISTS (SELECT FROM events WHERE stream_id = NEW.stream_id AND version = NEW.version)
        AND NOT EXISTS (SELECT FROM events WHERE event_id = NEW.event_id)
    THEN
        last := last + 1;
    END IF;
    largest := greatest(largest, octet_length(NEW.event_data) + coalesce(octet_length(NEW.metadata::TEXT), 0));
    PERFORM set_config('annals.numbered', last || ' ' || largest, true);
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION annals_write_head() RETURNS TRIGGER
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    numbered CONSTANT TEXT := current_setting('annals.numbered');
BEGIN
    UPDATE annals_head SET
        position = split_part(numbered, ' ', 1)::BIGINT,
        largest_event_bytes = split_part(numbered, ' ', 2)::BIGINT;
    PERFORM set_config('annals.numbered', '', true);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER annals_write_head
    AFTER INSERT ON events
    FOR EACH STATEMENT WHEN (current_setting('annals.numbered', true) <> '')
    EXECUTE FUNCTION annals_write_head();
