-- The reader's rights, as the documentation recommends them; the writer's and the tenants'.
GRANT SELECT ON ALL TABLES IN SCHEMA app, "odd.schema" TO gatelodge_ro;
REVOKE SELECT ON app.people FROM gatelodge_ro;
GRANT SELECT (id, name, email) ON app.people TO gatelodge_ro;
ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT SELECT ON TABLES TO gatelodge_ro;
REVOKE EXECUTE ON FUNCTION pg_sleep(float8), lo_from_bytea(oid, bytea), lo_create(oid), lo_creat(int), pg_notify(text, text)
    FROM PUBLIC;
DO $$
DECLARE found regprocedure;
BEGIN
    -- By pattern: their arguments differ between versions.
    FOR found IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
        AND (proname LIKE 'pg\_advisory%' OR proname LIKE 'pg\_try\_advisory%' OR proname = 'pg_logical_emit_message')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', found);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO app_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA app TO app_writer;
GRANT SELECT ON app.notes, app.claims, app.victim, app.policed, app.customers, app.v_set TO tenant1, tenant2;
