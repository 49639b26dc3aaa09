-- What needs contrib: foreign data, and functions of extensions that lie or reach out. Run as superuser.
CREATE TABLE app.attributes (id int PRIMARY KEY, h hstore);
INSERT INTO app.attributes VALUES (1, 'colour=>red, size=>"10"'), (2, 'colour=>blue'), (3, 'size=>NULL');
ALTER TABLE app.attributes OWNER TO app_owner;
CREATE TABLE app.documents (id int PRIMARY KEY, body xml);
INSERT INTO app.documents VALUES (1, '<a><b>one</b><b>two</b></a>');
ALTER TABLE app.documents OWNER TO app_owner;
CREATE FUNCTION app.liar_dblink(conn text) RETURNS text LANGUAGE plpgsql IMMUTABLE
    AS $$ BEGIN RETURN dblink_connect_u('liar', conn); END $$;
CREATE SERVER disk FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE app.far_file (line text) SERVER disk OPTIONS (filename 'planted_secret');
CREATE FOREIGN TABLE app.far_program (line text) SERVER disk OPTIONS (program 'cat planted_secret');
-- Whoever reads a foreign table acts in the name of its mapping, in a transaction that isn't read-only there.
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '/', port '1', dbname 'postgres');
CREATE USER MAPPING FOR PUBLIC SERVER loop OPTIONS (user 'postgres', password 'gl-secret-fdw-91cc', password_required 'false');
CREATE FOREIGN TABLE app.far_victim (id int, note text) SERVER loop OPTIONS (schema_name 'app', table_name 'victim');
CREATE FOREIGN TABLE app.far_write (n int) SERVER loop OPTIONS (schema_name 'app', table_name 'v_write');
CREATE SERVER canary FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', connect_timeout '3');
CREATE USER MAPPING FOR PUBLIC SERVER canary OPTIONS (user 'canary', password 'gl-secret-fdw-92cc', password_required 'false');
CREATE FOREIGN TABLE app.far_canary (n int) SERVER canary;
