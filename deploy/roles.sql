-- Roles with no more rights than each needs. How to use it: docs/how-to/least-privilege.md
--
--   annals_owner    owns the tables and migrates them; no service runs as it
--   annals_service  what DATABASE_URL of the service names: appends, reads, and its own bookkeeping
--   annals_reader   reads all of it and writes nothing: reports, ad-hoc queries
--   annals_backup   reads all of it and keeps the catalogue of backups: `annals backup`, pg_dump
--
-- Plain SQL for any client, for the schema that comes first in the search path. Run it as a superuser, or as a role
-- with CREATEROLE that is a member of annals_owner; before the first migration, and again after each, because a table that
-- a migration adds is nobody's but the owner's until then. It can run any number of times. The roles have no
-- passwords here, so none of them can log in by password before you give it one.

BEGIN;

DO $$
DECLARE
    wanted TEXT;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['annals_owner', 'annals_service', 'annals_reader', 'annals_backup'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', wanted);
        END IF;
    END LOOP;
END
$$;

DO $$
DECLARE
    store CONSTANT TEXT := quote_ident(current_schema());
    object RECORD;
BEGIN
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %s TO annals_owner', store);
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO annals_service, annals_reader, annals_backup', store);
    -- Objects made under a role's own name would not belong to the owner.
    EXECUTE format('REVOKE CREATE ON SCHEMA %s FROM PUBLIC, annals_service, annals_reader, annals_backup', store);

    FOR object IN
        SELECT format('%s.%I', store, c.relname) AS path,
            CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
            CASE
                WHEN c.relkind = 'S' THEN 'SELECT, USAGE'
                -- Append-only: what was stored stays as it is.
                WHEN c.relname = 'events' THEN 'SELECT, INSERT'
                -- One row: never a second one, and never none.
                WHEN c.relname = 'annals_head' THEN 'SELECT, UPDATE'
                -- What was migrated is for the owner to say.
                WHEN c.relname = 'annals_migrations' THEN 'SELECT'
                ELSE 'SELECT, INSERT, UPDATE, DELETE'
            END AS rights,
            CASE
                WHEN c.relname IN ('annals_backups', 'annals_jobs', 'annals_attestations') THEN 'SELECT, INSERT, UPDATE, DELETE'
                ELSE 'SELECT'
            END AS backup_rights
        FROM pg_class AS c
        WHERE c.relnamespace = to_regnamespace(store) AND c.relkind IN ('r', 'p', 'S')
            AND (c.relname IN ('events', 'snapshots') OR c.relname LIKE 'annals\_%')
    LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM annals_service, annals_reader, annals_backup', object.kind, object.path);
        EXECUTE format('GRANT %s ON %s %s TO annals_service', object.rights, object.kind, object.path);
        EXECUTE format('GRANT SELECT ON %s %s TO annals_reader', object.kind, object.path);
        EXECUTE format('GRANT %s ON %s %s TO annals_backup', object.backup_rights, object.kind, object.path);
    END LOOP;
END
$$;

COMMIT;
