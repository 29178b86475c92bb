-- description: Tell who follows that something was stored

-- Sent with the commit, once per statement. The payload is the schema, because a channel belongs to the whole
-- database. A lost notification costs a follower time, never an event: it polls as well.
CREATE OR REPLACE FUNCTION annals_wake_followers() RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_notify('annals', TG_TABLE_SCHEMA);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER annals_wake_followers
    AFTER INSERT ON events
    FOR EACH STATEMENT
    EXECUTE FUNCTION annals_wake_followers();
