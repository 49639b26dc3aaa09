-- What every PostgreSQL from 13 on has, and a server that reads it should know: one of each kind. Run as superuser.
CREATE TYPE shop.mood AS ENUM ('sad', 'ok');
CREATE DOMAIN shop.cents AS int CHECK (VALUE >= 0);
CREATE TYPE shop.address AS (street text, zip int);
CREATE FUNCTION shop.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n';
CREATE FUNCTION shop.acts() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE PROCEDURE shop.tidy(days int DEFAULT 7) LANGUAGE plpgsql AS $$ BEGIN DELETE FROM shop.event WHERE at < now(); END $$;
CREATE AGGREGATE shop.product (int) (SFUNC = int4mul, STYPE = int, INITCOND = '1');
CREATE TABLE shop.customer (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, mail text COLLATE "C" UNIQUE,
    mood shop.mood DEFAULT 'ok', home shop.address, tags text[] NOT NULL DEFAULT '{}', more jsonb,
    loud text GENERATED ALWAYS AS (upper(name)) STORED);
CREATE TABLE shop.orders (
    id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES shop.customer ON DELETE CASCADE, total shop.cents,
    placed timestamptz NOT NULL DEFAULT now(), during tstzrange,
    CONSTRAINT free EXCLUDE USING gist (during WITH &&), CONSTRAINT sane CHECK (total < 1000000) NOT VALID);
CREATE TABLE shop.event (id int, at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE shop.event_2024 PARTITION OF shop.event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE shop.event_rest PARTITION OF shop.event DEFAULT;
CREATE TABLE shop.note (id int PRIMARY KEY, owner name NOT NULL DEFAULT current_user, body text);
CREATE TABLE shop.never_analysed (id int PRIMARY KEY);
CREATE INDEX loudly ON shop.customer (lower(name) text_pattern_ops);
CREATE INDEX costly ON shop.orders (customer, placed DESC) INCLUDE (total) WHERE total > 100;
CREATE INDEX tagged ON shop.customer USING gin (tags);
CREATE INDEX dated ON shop.event (at);
CREATE VIEW shop.spent AS SELECT c.id, c.name, sum(o.total) AS total FROM shop.customer c JOIN shop.orders o ON o.customer = c.id GROUP BY c.id;
CREATE MATERIALIZED VIEW shop.counted AS SELECT mood, count(*) AS n FROM shop.customer GROUP BY mood;
CREATE FUNCTION shop.touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := trim(NEW.name); RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE INSERT OR UPDATE ON shop.customer FOR EACH ROW EXECUTE FUNCTION shop.touched();
ALTER TABLE shop.note ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON shop.note FOR SELECT USING (owner = current_user);
COMMENT ON TABLE shop.customer IS 'Who buys';
COMMENT ON COLUMN shop.customer.mail IS 'Where to write';
COMMENT ON FUNCTION shop.twice(int) IS 'Doubles';
INSERT INTO shop.customer (name, mail, home, tags, more)
    SELECT 'Customer ' || g, 'c' || g || '@example.org', ROW ('Street ' || g, g)::shop.address, ARRAY['a', 'b'], '{"n": 1}'
    FROM generate_series(1, 500) g;
INSERT INTO shop.orders (customer, total, placed, during)
    SELECT 1 + g % 500, g % 300, timestamptz '2024-01-01' + g * interval '1 hour',
    tstzrange(timestamptz '2024-01-01' + g * interval '1 hour', timestamptz '2024-01-01' + (g + 1) * interval '1 hour')
    FROM generate_series(1, 5000) g;
INSERT INTO shop.event SELECT g, date '2024-01-01' + g, 'event ' || g FROM generate_series(1, 500) g;
INSERT INTO shop.note VALUES (1, 'gatelodge_ro', 'mine'), (2, 'somebody', 'gl-secret-note');
REFRESH MATERIALIZED VIEW shop.counted;
ANALYZE shop.customer, shop.orders, shop.event, shop.note, shop.counted;
CREATE SCHEMA empty;
GRANT USAGE ON SCHEMA empty TO gatelodge_ro;
GRANT USAGE ON SCHEMA shop TO app_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA shop TO app_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA shop TO app_writer;
CREATE SCHEMA own AUTHORIZATION app_writer;
