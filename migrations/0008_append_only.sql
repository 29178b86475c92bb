-- description: Refuse to change or take away what was stored
-- breaking: UPDATE, DELETE and TRUNCATE of events fail from now on, for every role; the owner of the table can allow them for one transaction with SET LOCAL annals.allow_rewrite = on

-- Behind the rights of the roles (deploy/roles.sql), for what connects as the owner. Only the owner may allow a rewrite:
-- otherwise whoever may run SQL could. The triggers are per statement, so an append does not meet them.
CREATE OR REPLACE FUNCTION annals_refuse_rewrite() RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    IF current_setting('annals.allow_rewrite', true) = 'on'
        AND pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'MEMBER')
    THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'events are append-only: % was refused', TG_OP
        USING ERRCODE = 'restrict_violation',
            HINT = 'For maintenance the owner of the table can allow it in one transaction: SET LOCAL annals.allow_rewrite = on. '
                'Stop the services first: positions and versions have to stay without holes.';
END
$$;

CREATE OR REPLACE TRIGGER annals_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT
    EXECUTE FUNCTION annals_refuse_rewrite();
