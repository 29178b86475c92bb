DROP TRIGGER IF EXISTS zz_annals_number_event ON events;
DROP FUNCTION IF EXISTS annals_number_event();
DROP FUNCTION IF EXISTS annals_event_id();
