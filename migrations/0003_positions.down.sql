-- destroys: the position, id and content type of every event, the content type of every snapshot, and which of them are JSON
LOCK TABLE events, snapshots IN ACCESS EXCLUSIVE MODE;
DROP TABLE IF EXISTS annals_head;
ALTER TABLE events
    DROP COLUMN IF EXISTS position,
    DROP COLUMN IF EXISTS event_id,
    DROP COLUMN IF EXISTS content_type,
    DROP COLUMN IF EXISTS is_json,
    ALTER COLUMN stream_id TYPE TEXT COLLATE "default";
ALTER TABLE snapshots
    DROP COLUMN IF EXISTS content_type,
    DROP COLUMN IF EXISTS is_json,
    ALTER COLUMN stream_id TYPE TEXT COLLATE "default";
