DROP FUNCTION IF EXISTS annals_append;
DROP FUNCTION IF EXISTS annals_append_one;
