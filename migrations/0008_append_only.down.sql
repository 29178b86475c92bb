DROP TRIGGER IF EXISTS annals_append_only ON events;
DROP FUNCTION IF EXISTS annals_refuse_rewrite();
