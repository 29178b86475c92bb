DROP FUNCTION IF EXISTS annals_append_batch;
