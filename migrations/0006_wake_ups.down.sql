DROP TRIGGER IF EXISTS annals_wake_followers ON events;
DROP FUNCTION IF EXISTS annals_wake_followers();
